import assert from "node:assert/strict";
import { decky, lan, problemsOf, topology } from "../../tests/sample_topology.ts";
import { readTopology } from "../document.ts";
import { parseJson } from "../json.ts";
import { describeProblems, validateTopology } from "./validation.ts";

for (const name of ["topology-one-lan.json", "topology-three-lans.json"]) {
  Deno.test(`validateTopology() takes ${name}`, () => {
    const text = Deno.readTextFileSync(new URL(`../../tests/data/${name}`, import.meta.url));
    assert.deepEqual(validateTopology(readTopology(parseJson(text))), []);
  });
}

Deno.test("validateTopology() takes a document with no LANs and no deckies", () => {
  assert.deepEqual(problemsOf({}), []);
});

/** Every rule broken but the size and the missing DMZ, which keep others from being reported. */
const everyFault = {
  topology: { id: "../x" },
  lans: [
    { name: "LAN-00", subnet: "10.77.0.0/24", is_dmz: true },
    { name: "lan-00", subnet: "10.77.0.128/25", is_dmz: true },
    { name: "no lan", subnet: "10.77.1.9/24" },
    { name: "LAN-03", subnet: "10.77.3.0/24" },
  ],
  deckies: [
    {
      name: "a",
      services: ["ssh"],
      decky_config: {
        ips_by_lan: { "LAN-00": "10.77.0.2" },
        service_config: { ssh: { image: "SSH" } },
      },
    },
    { name: "a-ssh", services: [], decky_config: { ips_by_lan: { "LAN-00": "10.77.0.2" } } },
    { name: "b", services: [], decky_config: { ips_by_lan: {} } },
    {
      name: "c",
      services: [],
      decky_config: {
        ips_by_lan: { "LAN-03": "10.9.9.9", "LAN-00": "10.77.0.03", "LAN-09": "10.77.9.9" },
      },
    },
  ],
};

Deno.test("validateTopology() finds every problem at once, each with its place", () => {
  const problems = validateTopology(readTopology(parseJson(JSON.stringify(everyFault))));
  assert.deepEqual(problems.map(({ code, place }) => `${code} ${place}`), [
    "ID_MALFORMED topology.id",
    "DMZ_MULTIPLE lans",
    "DMZ_ORPHAN lans[2]",
    "LAN_NAME_DUP lans[1].name",
    "SUBNET_OVERLAP lans[1].subnet",
    "NAME_MALFORMED lans[2].name",
    "SUBNET_MALFORMED lans[2].subnet",
    "NAME_MALFORMED deckies[0].decky_config.service_config.ssh.image",
    "DECKY_NAME_DUP deckies[1].name",
    "IP_COLLISION deckies[1].decky_config.ips_by_lan.LAN-00",
    "DECKY_ORPHAN deckies[2].decky_config.ips_by_lan",
    "IP_OUT_OF_SUBNET deckies[3].decky_config.ips_by_lan.LAN-03",
    "IP_MALFORMED deckies[3].decky_config.ips_by_lan.LAN-00",
    "IP_UNKNOWN_LAN deckies[3].decky_config.ips_by_lan.LAN-09",
  ]);
  for (const { message, place } of problems) assert.ok(message.includes(` at ${place}: `), message);
  const description = describeProblems(problems);
  assert.match(
    description,
    /^14 topology validation error\(s\): \[ID_MALFORMED\] topology \.\.\/x at /,
  );
  assert.match(
    description,
    /; \[IP_OUT_OF_SUBNET\] c at deckies\[3\]\.decky_config\.ips_by_lan\.LAN-03: 10\.9\.9\.9 is not in 10\.77\.3\.0\/24; /,
  );
});

Deno.test("validateTopology() finds a missing DMZ beside other problems", () => {
  const problems = validateTopology(topology({ lans: [lan("a b", { isDmz: false })] }));
  assert.deepEqual(problems.map(({ code }) => code), ["DMZ_MISSING", "NAME_MALFORMED"]);
});

Deno.test("validateTopology() takes __proto__ and constructor for names like any other", () => {
  const document = parseJson(`{
    "topology": {"id": "a"},
    "lans": [{"name": "constructor", "subnet": "10.0.0.0/24", "is_dmz": true}],
    "deckies": [{"name": "toString", "services": ["__proto__", "valueOf"], "decky_config": {
      "ips_by_lan": {"constructor": "10.0.0.2", "__proto__": "10.0.0.3", "toString": "10.0.0.4"},
      "service_config": {"__proto__": {"image": "A"}}
    }}]
  }`);
  const problems = validateTopology(readTopology(document));
  assert.deepEqual(problems.map(({ code, place }) => `${code} ${place}`), [
    "NAME_MALFORMED deckies[0].services[0]",
    "IP_UNKNOWN_LAN deckies[0].decky_config.ips_by_lan.__proto__",
    "IP_UNKNOWN_LAN deckies[0].decky_config.ips_by_lan.toString",
    "NAME_MALFORMED deckies[0].decky_config.service_config.__proto__.image",
  ]);
});

/** As many LANs, deckies and services as are taken, every LAN on a path to the DMZ. */
function largest() {
  const count = 1000;
  const subnetBase = (index: number) => `10.${index >> 8}.${index & 255}`;
  const lans = Array.from(
    { length: count },
    (_, index) => lan(`lan-${index}`, { subnet: `${subnetBase(index)}.0/24`, isDmz: index === 0 }),
  );
  const deckies = lans.map((_, index) => {
    const near = [index, (index + 1) % count];
    return decky(`decky-${index}`, {
      services: Array.from({ length: 9 }, (_, at) => `service-${at}`),
      addresses: Object.fromEntries(
        near.map((to, at) => [`lan-${to}`, `${subnetBase(to)}.${at + 2}`]),
      ),
    });
  });
  return { lans, deckies };
}

Deno.test("validateTopology() takes 1000 LANs and 10000 deckies and services", () => {
  const start = performance.now();
  assert.deepEqual(problemsOf(largest()), []);
  // About 50 ms; with a time that grows quadratically it would be some seconds.
  assert.ok(performance.now() - start < 3000);
});

Deno.test("validateTopology() refuses more, and then reports nothing else", () => {
  const { lans, deckies } = largest();
  assert.deepEqual(problemsOf({ id: "", lans: [...lans, lan("x")], deckies }), [
    '[TOO_LARGE] topology "" at lans: it has 1001 LANs; at most 1000 are taken',
  ]);
  assert.deepEqual(problemsOf({ lans, deckies: [...deckies, decky("a")] }), [
    "[TOO_LARGE] topology 7c9e6679 at deckies: it has 10001 deckies and services; " +
    "at most 10000 are taken",
  ]);
});

Deno.test("validateTopology() refuses more than 100000 addresses", () => {
  const addressed = (count: number) => ({
    ...decky("a"),
    addressByLan: new Map(Array.from({ length: count }, (_, index) => [`lan-${index}`, "x"])),
  });
  const codes = (count: number) =>
    new Set(
      validateTopology(topology({ lans: [lan("a")], deckies: [addressed(count)] }))
        .map(({ code }) => code),
    );
  assert.deepEqual(codes(100_000), new Set(["IP_UNKNOWN_LAN", "IP_MALFORMED"]));
  assert.deepEqual(codes(100_001), new Set(["TOO_LARGE"]));
});

Deno.test("validateTopology() keeps its time and its messages small with huge names", () => {
  const huge = "😀\n".repeat(1 << 20);
  const problems = validateTopology(topology({
    id: huge,
    lans: [lan(huge, { subnet: huge }), lan(huge, { subnet: huge })],
    deckies: [decky(huge, {
      services: Array.from({ length: 9000 }, (_, index) => `service-${index}`),
      addresses: { [huge]: huge, [huge.toLowerCase() + "x"]: huge },
      images: { "service-0": huge },
    })],
  }));
  assert.ok(problems.length > 8);
  for (const { place, message } of problems) {
    assert.ok(place.length < 300 && message.length < 1000, message.slice(0, 2000));
    // deno-lint-ignore no-control-regex
    assert.ok(message.isWellFormed() && !/[\x00-\x1f]/.test(message), message);
  }
});
