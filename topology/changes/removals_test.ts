import assert from "node:assert/strict";
import {
  asApplied,
  full,
  id,
  inventory,
  ofAnother,
  type Otherwise,
  removalsOf,
  unlabelled,
} from "../../tests/sample_plan.ts";
import type { ContainerFact, Inventory, NetworkFact } from "../inventory.ts";

const names = ["web", "web-http", "web-ssh", "db", "db-sql"];
/** What is removed of all that is planned, the LANs in reverse order of their names. */
const everything = [
  "remove network inner",
  "remove network dmz",
  ...names.map((name) => `remove container ${name}`),
];
const unknown = { plan: null };
const [dmz, db] = [asApplied.networks[1]!, asApplied.containers[3]!];

/** Everything without a label. */
function bare(otherwise: Otherwise = {}): Inventory {
  const objects = ["dmz", "inner", ...names].map((name) => [name, unlabelled]);
  return inventory({ ...Object.fromEntries(objects), ...otherwise });
}

Deno.test("findRemovals() removes what has the label, whatever is remembered", () => {
  const states = { web: { state: "exited" }, "web-ssh": { state: "dead" }, dmz: { driver: "x" } };
  for (const otherwise of [{}, states]) {
    for (const remembered of [{}, { wasApplied: false }, unknown]) {
      assert.deepEqual(removalsOf(inventory(otherwise), remembered), everything);
    }
  }
});

Deno.test("findRemovals() removes what has the label and is not planned", () => {
  const more = inventory({}, {
    networks: [{ ...dmz, id: "more", name: full("zone") }, { ...dmz, id: "second" }],
    containers: [{ ...db, id: "dead", name: "0123456789ab", state: "dead" }],
  });
  const [inner, ...others] = everything;
  const expected = ["remove network zone", inner, "remove network dmz", ...others];
  for (const remembered of [{}, unknown]) {
    assert.deepEqual(removalsOf(more, remembered), [...expected, "remove container 0123456789ab"]);
  }
});

Deno.test("findRemovals() removes what bears a planned name and no label, once it was applied", () => {
  const strange: Otherwise = {
    dmz: { ...unlabelled, driver: "macvlan", subnets: [] },
    web: { ...unlabelled, addressByNetwork: new Map() },
    "db-sql": { ...unlabelled, networkMode: "container:another" },
  };
  for (const otherwise of [{}, strange]) {
    assert.deepEqual(removalsOf(bare(otherwise)), everything);
    assert.deepEqual(removalsOf(bare(otherwise), unknown), []);
  }
  // What was never applied may stand beside something foreign that was there before.
  const neverApplied = { wasApplied: false };
  assert.deepEqual(removalsOf(bare(), neverApplied), everything);
  assert.deepEqual(removalsOf(bare(strange), neverApplied), [
    "remove network inner",
    // These hang on a base that is not ours, but are not seen to be otherwise than planned.
    "remove container web-http",
    "remove container web-ssh",
    "remove container db",
  ]);
  const orphans = removalsOf(bare({ web: null }), neverApplied);
  assert.deepEqual(orphans, everything.filter((line) => !line.includes("web")));
});

Deno.test("findRemovals() leaves what has the label of another topology", () => {
  const objects = ["dmz", "inner", ...names].map((name) => [name, ofAnother]);
  const others = inventory(Object.fromEntries(objects));
  for (const remembered of [{}, { wasApplied: false }, unknown]) {
    assert.deepEqual(removalsOf(others, remembered), []);
  }
  const one = inventory({ dmz: ofAnother, "web-ssh": ofAnother });
  const left = everything.filter((line) => !/ (dmz|web-ssh)$/.test(line));
  assert.deepEqual(removalsOf(one), left);
});

Deno.test("findRemovals() leaves what has neither the label nor a planned name", () => {
  const networks = [{ ...dmz, id: "more", name: full("zone"), ...unlabelled }];
  const containers = [{ ...db, id: "more", name: full("more"), state: "exited", ...unlabelled }];
  assert.deepEqual(removalsOf(inventory({}, { networks, containers })), everything);
});

Deno.test("findRemovals() removes the rest of what is broken already, and nothing of nothing", () => {
  assert.deepEqual(removalsOf(inventory({ dmz: null, web: null })), [
    "remove network inner",
    ...names.slice(1).map((name) => `remove container ${name}`),
  ]);
  assert.deepEqual(removalsOf({ networks: [asApplied.networks[0]!], containers: [] }), []);
  assert.deepEqual(removalsOf({ networks: [], containers: [] }, unknown), []);
});

Deno.test("findRemovals() tells of strangers on a network that is to go", () => {
  const guest: ContainerFact = {
    ...db,
    id: "stranger",
    name: "stranger",
    ...unlabelled,
    addressByNetwork: new Map([[full("dmz"), "10.1.0.9"]]),
  };
  const withGuest = (change: Partial<ContainerFact>, otherwise: Otherwise = {}) =>
    removalsOf(inventory(otherwise, { containers: [{ ...guest, ...change }] }));
  const obstacle = "obstacle: container stranger, which is not of this topology, uses network dmz";
  assert.deepEqual(withGuest({}), [...everything, obstacle]);
  assert.deepEqual(withGuest(ofAnother), [...everything, obstacle]);
  assert.deepEqual(withGuest({ state: "exited" }), everything);
  assert.deepEqual(withGuest({}, { dmz: ofAnother }), everything.toSpliced(1, 1));
});

Deno.test("findRemovals() sorts networks by code point, backwards, and keeps its input", () => {
  const named = ["b", "B", "a", "10", "9", "\u{1f600}", "\uffff"].map((name): NetworkFact => ({
    ...dmz,
    id: name,
    name,
  }));
  const given = { networks: named, containers: [] };
  const before = [...named];
  assert.deepEqual(
    removalsOf(given, { topologyId: id, plan: null }).map((line) => line.split(" ").at(-1)),
    ["\u{1f600}", "\uffff", "b", "a", "B", "9", "10"],
  );
  assert.deepEqual(given.networks, before);
});

Deno.test("findRemovals() leaves a stranger with a planned name where the rest is our own work", () => {
  const stranger = { ...unlabelled, addressByNetwork: new Map() };
  const web = (line: string) => line === "remove container web";
  assert.deepEqual(
    removalsOf(inventory({ web: stranger })),
    everything.filter((line) => !web(line)),
  );
  assert.deepEqual(removalsOf(inventory({ web: unlabelled })), everything);
});
