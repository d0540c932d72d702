import assert from "node:assert/strict";
import { lan } from "../../tests/sample_topology.ts";
import { checkLans, readLanSubnet } from "./lan_checks.ts";

function check(...lans: [name: string, subnet: string][]): string[] {
  return checkLans(lans.map(([name, subnet]) => lan(name, { subnet })))
    .map(({ code, message }) => `[${code}] ${message}`);
}

Deno.test("readLanSubnet() takes what Docker can make a network of", () => {
  const texts = [
    "10.0.0.0/8",
    "1.0.0.0/8",
    "10.77.1.0/24",
    "10.77.1.248/29",
    "10.77.1.252/30",
    "126.255.255.0/24",
    "128.0.0.0/24",
    "169.253.0.0/16",
    "169.255.0.0/16",
    "223.255.255.0/24",
  ];
  for (const text of texts) assert.notEqual(typeof readLanSubnet(text), "string", text);
});

Deno.test("readLanSubnet() says why it refuses any other", () => {
  const cases: [text: string, fault: string][] = [
    ["", '"" is no IPv4 subnet such as 10.0.0.0/24'],
    ["10.0.0.0", "10.0.0.0 is no IPv4 subnet such as 10.0.0.0/24"],
    ["10.0.0.0/33", "10.0.0.0/33 is no IPv4 subnet such as 10.0.0.0/24"],
    ["fd00::/64", "fd00::/64 is no IPv4 subnet such as 10.0.0.0/24"],
    ["10.0.0.5/24", "10.0.0.5/24 has bits set behind its prefix; the subnet would be 10.0.0.0/24"],
    ["10.0.0.0/7", "10.0.0.0/7 is larger than a /8, too much of what the host may reach"],
    ["0.0.0.0/0", "0.0.0.0/0 is larger than a /8, too much of what the host may reach"],
    [
      "10.0.0.0/31",
      "10.0.0.0/31 is smaller than a /30, too small for a gateway and a container",
    ],
    [
      "10.0.0.1/32",
      "10.0.0.1/32 is smaller than a /30, too small for a gateway and a container",
    ],
    ["0.0.0.0/8", "0.0.0.0/8 overlaps 0.0.0.0/8, which no host can have"],
    ["0.255.255.0/24", "0.255.255.0/24 overlaps 0.0.0.0/8, which no host can have"],
    ["127.5.0.0/24", "127.5.0.0/24 overlaps 127.0.0.0/8, the host's own loopback"],
    [
      "169.254.7.0/24",
      "169.254.7.0/24 overlaps 169.254.0.0/16, link-local, where a cloud has its metadata",
    ],
    [
      "169.0.0.0/8",
      "169.0.0.0/8 overlaps 169.254.0.0/16, link-local, where a cloud has its metadata",
    ],
    ["224.0.0.0/24", "224.0.0.0/24 overlaps 224.0.0.0/3, multicast and reserved"],
    ["255.255.255.0/24", "255.255.255.0/24 overlaps 224.0.0.0/3, multicast and reserved"],
  ];
  for (const [text, fault] of cases) assert.equal(readLanSubnet(text), fault);
});

Deno.test("checkLans() takes LANs that lie side by side", () => {
  assert.deepEqual(
    check(["a", "10.0.1.0/24"], ["b", "10.0.0.0/24"], ["c", "10.0.2.0/25"], ["d", "10.0.2.128/25"]),
    [],
  );
});

Deno.test("checkLans() finds malformed names and subnets", () => {
  const problems = check(["a", "10.0.0.0/24"], ["b c", "10.0.1.9/24"]);
  assert.equal(problems.length, 2);
  assert.match(problems[0]!, /^\[NAME_MALFORMED\] "b c" at lans\[1\]\.name: a name must be /);
  assert.match(
    problems[1]!,
    /^\[SUBNET_MALFORMED\] "b c" at lans\[1\]\.subnet: 10\.0\.1\.9\/24 has /,
  );
});

Deno.test("checkLans() finds names that differ only in case", () => {
  assert.deepEqual(
    check(["Lan", "10.0.0.0/24"], ["b", "10.0.1.0/24"], ["lAN", "10.0.2.0/24"], [
      "Lan",
      "10.0.3.0/24",
    ]),
    [
      "[LAN_NAME_DUP] lAN at lans[2].name: Lan at lans[0].name has this name already; " +
      "case does not count",
      "[LAN_NAME_DUP] Lan at lans[3].name: Lan at lans[0].name has this name already; " +
      "case does not count",
    ],
  );
});

Deno.test("checkLans() names a pair of overlapping subnets", () => {
  assert.deepEqual(
    check(["a", "10.0.5.0/24"], ["b", "10.1.0.0/16"], ["c", "10.0.0.0/16"]),
    [
      "[SUBNET_OVERLAP] a at lans[0].subnet: 10.0.5.0/24 overlaps 10.0.0.0/16 of c at lans[2].subnet",
    ],
  );
  assert.deepEqual(
    check(["a", "10.0.5.0/24"], ["b", "10.0.5.0/24"]),
    [
      "[SUBNET_OVERLAP] b at lans[1].subnet: 10.0.5.0/24 overlaps 10.0.5.0/24 of a at lans[0].subnet",
    ],
  );
});

Deno.test("checkLans() finds every overlap, also behind a smaller subnet", () => {
  const problems = check(
    ["a", "10.0.0.0/8"],
    ["b", "10.0.0.0/24"],
    ["c", "10.200.0.0/24"],
    ["d", "11.0.0.0/24"],
  );
  assert.deepEqual(problems.map((text) => text.slice(0, 18)), [
    "[SUBNET_OVERLAP] b",
    "[SUBNET_OVERLAP] c",
  ]);
});

Deno.test("checkLans() reports no more than one overlap for each LAN", () => {
  const lans = Array.from({ length: 1000 }, (_, index) => lan(`lan-${index}`));
  assert.equal(checkLans(lans).length, 999);
});
