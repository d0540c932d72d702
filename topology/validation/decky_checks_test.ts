import assert from "node:assert/strict";
import { decky, type DeckyValues, lan, topology } from "../../tests/sample_topology.ts";
import { checkDeckies } from "./decky_checks.ts";

const lans = [lan("LAN-00"), lan("LAN-01", { subnet: "10.0.1.0/24", isDmz: false })];

/** Checks deckies, each with a good address in LAN-00 unless it has other ones. */
function check(...deckies: [name: string, values?: DeckyValues][]): string[] {
  const problems = checkDeckies(topology({
    lans,
    deckies: deckies.map(([name, values], index) =>
      decky(name, { addresses: { "LAN-00": `10.0.0.${index + 2}` }, ...values })
    ),
  }));
  return problems.map(({ code, message }) => `[${code}] ${message}`);
}

function checkAddresses(...deckies: { [lan: string]: string }[]): string[] {
  return check(
    ...deckies.map((addresses, index): [string, DeckyValues] => [`d${index}`, { addresses }]),
  );
}

Deno.test("checkDeckies() takes deckies with services, images and addresses", () => {
  assert.deepEqual(
    check(
      ["a", { services: ["ssh", "http"], images: { ssh: "reg.example.com/sshd:1" } }],
      ["b", { services: ["ssh"], addresses: { "LAN-00": "10.0.0.254", "LAN-01": "10.0.1.2" } }],
      // Names of containers differ by case.
      ["A"],
    ),
    [],
  );
});

Deno.test("checkDeckies() finds malformed names of deckies and services", () => {
  const problems = check(["a/b", { services: ["ssh", "x y"] }]);
  assert.equal(problems.length, 2);
  assert.match(problems[0]!, /^\[NAME_MALFORMED\] a\/b at deckies\[0\]\.name: a name must be /);
  assert.match(
    problems[1]!,
    /^\[NAME_MALFORMED\] service "x y" of a\/b at deckies\[0\]\.services\[1\]: a name must be /,
  );
});

Deno.test("checkDeckies() finds a malformed image, but not of a service that is not there", () => {
  assert.deepEqual(check(["a", { services: ["ssh"], images: { ssh: "A", http: "B" } }]), [
    "[NAME_MALFORMED] service ssh of a at deckies[0].decky_config.service_config.ssh.image: " +
    "A is no Docker image reference",
  ]);
});

Deno.test("checkDeckies() finds containers of one name", () => {
  const dup = (subject: string, name: string, other: string) =>
    `[DECKY_NAME_DUP] ${subject}: its container ${name} has the same name as that of ${other}`;
  const cases: [deckies: [name: string, services: string[]][], problems: string[]][] = [
    [
      [["a", []], ["a", []]],
      [dup("a at deckies[1].name", "a", "a at deckies[0].name")],
    ],
    [
      [["a", ["ssh"]], ["a-ssh", []]],
      [dup("a-ssh at deckies[1].name", "a-ssh", "service ssh of a at deckies[0].services[0]")],
    ],
    [
      [["a-ssh", []], ["a", ["ssh"]]],
      [dup("service ssh of a at deckies[1].services[0]", "a-ssh", "a-ssh at deckies[0].name")],
    ],
    [
      [["a", ["b-c"]], ["a-b", ["c"]]],
      [
        dup(
          "service c of a-b at deckies[1].services[0]",
          "a-b-c",
          "service b-c of a at deckies[0].services[0]",
        ),
      ],
    ],
    [
      [["a", ["ssh", "ssh"]]],
      [
        dup(
          "service ssh of a at deckies[0].services[1]",
          "a-ssh",
          "service ssh of a at deckies[0].services[0]",
        ),
      ],
    ],
    // Equal services of equal deckies add nothing; a service listed twice does.
    [
      [["a", ["ssh"]], ["a", ["ssh", "ssh"]]],
      [
        dup("a at deckies[1].name", "a", "a at deckies[0].name"),
        dup(
          "service ssh of a at deckies[1].services[1]",
          "a-ssh",
          "service ssh of a at deckies[1].services[0]",
        ),
      ],
    ],
    [[["a", ["ssh"]], ["b", ["ssh"]], ["a-http", []]], []],
  ];
  for (const [deckies, expected] of cases) {
    const problems = check(
      ...deckies.map(([name, services]): [string, DeckyValues] => [name, { services }]),
    );
    assert.deepEqual(problems, expected, JSON.stringify(deckies));
  }
});

Deno.test("checkDeckies() finds containers of one name at the greatest length", () => {
  const [name, service] = ["a".repeat(63), "s".repeat(63)];
  const problems = check([name, { services: [service, service] }]);
  assert.deepEqual(problems.map((text) => text.slice(0, 16)), ["[DECKY_NAME_DUP]"]);
});

Deno.test("checkDeckies() finds a decky on no LAN", () => {
  assert.deepEqual(checkAddresses({}), [
    "[DECKY_ORPHAN] d0 at deckies[0].decky_config.ips_by_lan: the decky is on no LAN",
  ]);
});

Deno.test("checkDeckies() finds a LAN that is not there, and hints at one of another case", () => {
  assert.deepEqual(checkAddresses({ "LAN-02": "10.0.0.2", "Lan-00": "x" }), [
    "[IP_UNKNOWN_LAN] d0 at deckies[0].decky_config.ips_by_lan.LAN-02: " +
    "LAN-02 is no LAN of the document",
    "[IP_UNKNOWN_LAN] d0 at deckies[0].decky_config.ips_by_lan.Lan-00: " +
    "Lan-00 is no LAN of the document; case counts, LAN-00 is one",
    "[IP_MALFORMED] d0 at deckies[0].decky_config.ips_by_lan.Lan-00: " +
    "x is no IPv4 address such as 10.0.0.2",
  ]);
});

Deno.test("checkDeckies() finds malformed addresses", () => {
  for (const address of ["10.0.0.02", "10.0.0.2/24", "10.0.0.256", "::1", "A"]) {
    assert.deepEqual(checkAddresses({ "LAN-00": address }), [
      `[IP_MALFORMED] d0 at deckies[0].decky_config.ips_by_lan.LAN-00: ` +
      `${address} is no IPv4 address such as 10.0.0.2`,
    ]);
  }
});

Deno.test("checkDeckies() finds addresses that no container can have in the LAN", () => {
  const cases: [address: string, problem: string | null][] = [
    ["10.0.0.255", "[IP_OUT_OF_SUBNET] is not in 10.0.1.0/24"],
    ["10.0.1.0", "[IP_OUT_OF_SUBNET] is the network address of 10.0.1.0/24"],
    ["10.0.1.1", "[IP_COLLISION] is what Docker gives to the gateway of 10.0.1.0/24"],
    ["10.0.1.2", null],
    ["10.0.1.254", null],
    ["10.0.1.255", "[IP_OUT_OF_SUBNET] is the broadcast address of 10.0.1.0/24"],
    ["10.0.2.0", "[IP_OUT_OF_SUBNET] is not in 10.0.1.0/24"],
  ];
  for (const [address, problem] of cases) {
    const subject = `d0 at deckies[0].decky_config.ips_by_lan.LAN-01: ${address}`;
    const expected = problem === null ? [] : [problem.replace("]", `] ${subject}`)];
    assert.deepEqual(checkAddresses({ "LAN-01": address }), expected);
  }
});

Deno.test("checkDeckies() takes the one address that a /30 leaves, and five of a /29", () => {
  const codesFor = (subnet: string, addresses: string[]) =>
    checkDeckies(topology({
      lans: [lan("LAN", { subnet })],
      deckies: addresses.map((LAN, index) => decky(`d${index}`, { addresses: { LAN } })),
    })).map(({ code }) => code);
  assert.deepEqual(codesFor("10.0.0.0/30", ["10.0.0.2"]), []);
  assert.deepEqual(codesFor("10.0.0.0/30", ["10.0.0.1", "10.0.0.3"]), [
    "IP_COLLISION",
    "IP_OUT_OF_SUBNET",
  ]);
  const five = [2, 3, 4, 5, 6].map((last) => `10.0.0.${last}`);
  assert.deepEqual(codesFor("10.0.0.0/29", five), []);
});

Deno.test("checkDeckies() finds two deckies with one address in a LAN", () => {
  assert.deepEqual(checkAddresses({ "LAN-00": "10.0.0.2" }, { "LAN-00": "10.0.0.2" }), [
    "[IP_COLLISION] d1 at deckies[1].decky_config.ips_by_lan.LAN-00: " +
    "10.0.0.2 is also the address of d0 at deckies[0].decky_config.ips_by_lan.LAN-00",
  ]);
  const oneEach = checkAddresses({ "LAN-00": "10.0.0.2" }, { "LAN-01": "10.0.1.2" });
  assert.deepEqual(oneEach, []);
});

Deno.test("checkDeckies() goes by the first of two LANs with one name", () => {
  const problems = checkDeckies(topology({
    lans: [lan("LAN"), lan("LAN", { subnet: "10.0.1.0/24" })],
    deckies: [decky("a", { addresses: { LAN: "10.0.0.2" } })],
  }));
  assert.deepEqual(problems, []);
});

Deno.test("checkDeckies() compares addresses also in a LAN with a malformed subnet", () => {
  const problems = checkDeckies(topology({
    lans: [lan("LAN", { subnet: "10.0.0.9/24" })],
    deckies: ["a", "b"].map((name) => decky(name, { addresses: { LAN: "9.9.9.9" } })),
  }));
  assert.deepEqual(problems.map(({ code }) => code), ["IP_COLLISION"]);
});
