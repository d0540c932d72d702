import assert from "node:assert/strict";
import { readTopology } from "./document.ts";

const file = new URL("../tests/data/topology-one-lan.json", import.meta.url);
const text = Deno.readTextFileSync(file);

/** The document with another value at a place such as `lans.0.name`; undefined removes it. */
function documentWith(place: string, value: unknown): string {
  const root = JSON.parse(text);
  const path = place.split(".");
  const last = path.pop()!;
  const parent = path.reduce((object, key) => object[key], root);
  parent[last] = value;
  return JSON.stringify(root);
}

Deno.test("readTopology() reads what the plan needs and ignores the rest", () => {
  assert.deepEqual(readTopology(documentWith("unknown", { lans: 1 })), {
    id: "11111111-2222-3333-4444-555555555555",
    lans: [{ name: "LAN-00", subnet: "10.0.0.0/24", isDmz: true }],
    deckies: [{
      name: "decky-001",
      services: ["ssh"],
      addressByLan: new Map([["LAN-00", "10.0.0.2"]]),
    }],
  });
});

Deno.test("readTopology() takes only true for a DMZ", () => {
  for (const value of [false, null, undefined, 1, "true"]) {
    const { lans: [lan] } = readTopology(documentWith("lans.0.is_dmz", value));
    assert.equal(lan?.isDmz, false, String(value));
  }
});

Deno.test("readTopology() reads a topology without LANs and deckies", () => {
  assert.deepEqual(
    readTopology('{"topology":{"id":"a"},"lans":[],"deckies":[]}'),
    { id: "a", lans: [], deckies: [] },
  );
});

Deno.test("readTopology() names the place of a wrong field and what is there", () => {
  const cases: [place: string, value: unknown, message: string][] = [
    ["topology", undefined, "topology must be an object, but is missing"],
    ["topology", [], "topology must be an object, but is a list"],
    ["topology.id", 7, "topology.id must be a text, but is a number"],
    ["topology", 7, "topology must be an object, but is a number"],
    ["lans", 1.5, "lans must be a list, but is a number"],
    ["lans", null, "lans must be a list, but is null"],
    ["lans", {}, "lans must be a list, but is object"],
    ["lans.0", "LAN-00", "lans[0] must be an object, but is string"],
    ["lans.0.name", undefined, "lans[0].name must be a text, but is missing"],
    ["lans.0.subnet", null, "lans[0].subnet must be a text, but is null"],
    ["deckies", undefined, "deckies must be a list, but is missing"],
    ["deckies.0", null, "deckies[0] must be an object, but is null"],
    ["deckies.0.name", {}, "deckies[0].name must be a text, but is object"],
    ["deckies.0.services", "ssh", "deckies[0].services must be a list, but is string"],
    ["deckies.0.services.0", 22, "deckies[0].services[0] must be a text, but is a number"],
    [
      "deckies.0.decky_config",
      undefined,
      "deckies[0].decky_config must be an object, but is missing",
    ],
    [
      "deckies.0.decky_config.ips_by_lan",
      [],
      "deckies[0].decky_config.ips_by_lan must be an object, but is a list",
    ],
    [
      "deckies.0.decky_config.ips_by_lan.LAN-00",
      true,
      "deckies[0].decky_config.ips_by_lan.LAN-00 must be a text, but is boolean",
    ],
  ];
  for (const [place, value, problem] of cases) {
    assert.throws(() => readTopology(documentWith(place, value)), {
      name: "TypeError",
      message: `Cannot read the topology: ${problem}`,
    });
  }
});

Deno.test("readTopology() refuses a document that is no object, or no JSON", () => {
  for (const text of ["null", "[]", "7", '"a"']) {
    assert.throws(() => readTopology(text), {
      name: "TypeError",
      message: /: document must be an/,
    });
  }
  assert.throws(() => readTopology("7"), /document must be an object, but is a number$/);
  assert.throws(() => readTopology("{"), SyntaxError);
});
