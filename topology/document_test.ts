import assert from "node:assert/strict";
import { readTopology, type Topology } from "./document.ts";
import { type Json, parseJson, writeJson } from "./json.ts";

const file = new URL("../tests/data/topology-one-lan.json", import.meta.url);
const text = Deno.readTextFileSync(file);

/** Reads the document with other values at places such as `lans.0.name`; undefined removes one. */
function readWith(values: { readonly [place: string]: unknown }): Topology {
  const root = JSON.parse(text);
  for (const [place, value] of Object.entries(values)) {
    const path = place.split(".");
    const last = path.pop()!;
    path.reduce((object, key) => object[key], root)[last] = value;
  }
  return readTopology(parseJson(JSON.stringify(root)));
}

Deno.test("readTopology() reads what the plan needs and ignores the rest", () => {
  const { deckies: [decky], ...topology } = readWith({
    unknown: { lans: 1 },
    "deckies.0.decky_config.service_config": { ssh: { image: "sshd:1", port: 22 }, http: {} },
  });
  assert.deepEqual(topology, {
    id: "11111111-2222-3333-4444-555555555555",
    name: "lab",
    lans: [{ name: "LAN-00", subnet: "10.0.0.0/24", isDmz: true }],
  });
  const { configByService, ...facts } = decky!;
  assert.deepEqual(facts, {
    name: "decky-001",
    services: ["ssh"],
    addressByLan: new Map([["LAN-00", "10.0.0.2"]]),
    forwardsL3: true,
    imageByService: new Map([["ssh", "sshd:1"]]),
  });
  assert.deepEqual([...configByService.keys()], ["ssh"]);
  assert.equal(writeJson(configByService.get("ssh") as Json), '{"image":"sshd:1","port":22}');
});

Deno.test("readTopology() reads a missing name as empty, a flag as false", () => {
  for (const value of [undefined, null]) {
    const { name, lans: [lan], deckies: [decky] } = readWith({
      "topology.name": value,
      "lans.0.is_dmz": value,
      "deckies.0.decky_config.forwards_l3": value,
    });
    assert.deepEqual([name, lan?.isDmz, decky?.forwardsL3], ["", false, false]);
  }
  assert.equal(readWith({ "lans.0.is_dmz": false }).lans[0]?.isDmz, false);
});

Deno.test("readTopology() accepts a service configuration without an image", () => {
  // The decky has no service ftp, so nothing uses that.
  const unused = [{ ftp: "sshd" }, { ftp: { image: 7 } }, { ftp: { image: "ftpd:1" } }];
  const withoutImage = [undefined, null, {}, { ssh: null }, { ssh: {} }, { ssh: { image: null } }];
  for (const value of [...withoutImage, ...unused]) {
    const { deckies: [decky] } = readWith({ "deckies.0.decky_config.service_config": value });
    assert.deepEqual(decky?.imageByService, new Map(), JSON.stringify(value));
  }
});

Deno.test("readTopology() reads __proto__ like any other name", () => {
  const document = parseJson(`{
    "__proto__": {"deckies": 7},
    "topology": {"id": "a", "__proto__": {"name": 7}},
    "lans": [{"name": "__proto__", "subnet": "10.0.0.0/24", "__proto__": {"is_dmz": true}}],
    "deckies": [{"name": "__proto__", "services": ["__proto__", "constructor"], "decky_config": {
      "ips_by_lan": {"__proto__": "10.0.0.2"},
      "service_config": {"__proto__": {"image": "a"}, "constructor": {"__proto__": {"image": "b"}}}
    }}]
  }`);
  const { deckies: [decky], ...topology } = readTopology(document);
  assert.deepEqual(topology, {
    id: "a",
    name: "",
    lans: [{ name: "__proto__", subnet: "10.0.0.0/24", isDmz: false }],
  });
  const { configByService, ...facts } = decky!;
  assert.deepEqual(facts, {
    name: "__proto__",
    services: ["__proto__", "constructor"],
    addressByLan: new Map([["__proto__", "10.0.0.2"]]),
    forwardsL3: false,
    imageByService: new Map([["__proto__", "a"]]),
  });
  assert.deepEqual([...configByService.keys()], ["__proto__", "constructor"]);
  assert.equal(configByService.get("constructor")!["image"], undefined);
});

Deno.test("readTopology() names the place of a wrong shape and what is there", () => {
  const cases: [place: string, value: unknown, message: string][] = [
    ["topology", undefined, "topology: expected object, got nothing"],
    ["topology", [], "topology: expected object, got array"],
    ["topology.id", 7, "topology.id: expected string, got number"],
    ["topology.name", false, "topology.name: expected string, got boolean"],
    ["lans", 1.5, "lans: expected array, got number"],
    ["lans.0", "LAN-00", "lans[0]: expected object, got string"],
    ["lans.0.name", undefined, "lans[0].name: expected string, got nothing"],
    ["lans.0.subnet", null, "lans[0].subnet: expected string, got null"],
    ["lans.0.is_dmz", 1, "lans[0].is_dmz: expected true or false, got number"],
    ["deckies.0", null, "deckies[0]: expected object, got null"],
    ["deckies.0.services", "ssh", "deckies[0].services: expected array, got string"],
    ["deckies.0.services.0", 22, "deckies[0].services[0]: expected string, got number"],
    ["deckies.0.decky_config", undefined, "deckies[0].decky_config: expected object, got nothing"],
    ...([
      ["ips_by_lan", [], "expected object, got array"],
      ["ips_by_lan.LAN-00", true, "expected string, got boolean"],
      ["forwards_l3", 0, "expected true or false, got number"],
      ["service_config", [], "expected object, got array"],
      ["service_config.ssh", "sshd", "expected object, got string"],
    ] as const).map(([key, value, fault]): [string, unknown, string] => [
      `deckies.0.decky_config.${key}`,
      value,
      `deckies[0].decky_config.${key}: ${fault}`,
    ]),
    [
      "deckies.0.decky_config.service_config",
      { ssh: { image: ["sshd"] } },
      "deckies[0].decky_config.service_config.ssh.image: expected string, got array",
    ],
  ];
  for (const [place, value, fault] of cases) {
    assert.throws(() => readWith({ [place]: value }), {
      name: "TypeError",
      message: `Cannot read the topology: ${fault}`,
    });
  }
});

Deno.test("readTopology() names twenty wrong shapes and counts the others", () => {
  const messageFor = (count: number) => {
    try {
      readWith({ "deckies.0.services": Array(count).fill(7) });
    } catch (error) {
      return (error as Error).message;
    }
    throw new Error("no wrong shape was found");
  };
  assert.equal(messageFor(20).split("; ").length, 20);
  assert.match(messageFor(20), /services\[19\]: expected string, got number$/);
  assert.equal(messageFor(21).split("; ").length, 21);
  assert.match(messageFor(21), /services\[19\]: expected string, got number; and 1 more$/);
  assert.match(messageFor(100_000), /services\[19\]: expected string[^;]+; and 99980 more$/);
});
