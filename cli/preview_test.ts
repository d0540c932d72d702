import assert from "node:assert/strict";
import type { Candidate, Preview } from "../apply/mod.ts";
import { asApplied, network, plan } from "../tests/sample_inventory.ts";
import { larger, made, previewOf } from "../tests/sample_preview.ts";
import { decky, lan, topology } from "../tests/sample_topology.ts";
import {
  defaultImages,
  type Inventory,
  type Plan,
  planTopology,
  topologyLabel,
} from "../topology/mod.ts";
import { findRemovals } from "../topology/changes/mod.ts";
import { previewJson, previewText } from "./preview.ts";

const hash = "0123456789abcdef".repeat(4);
const empty: Inventory = { networks: [], containers: [] };
const candidate = (plan: Plan): Candidate => ({ text: "{}", versionHash: hash, plan });

function textOf(plan: Plan, preview: Preview): string {
  return previewText(candidate(plan), preview);
}

Deno.test("previewText() is a tree of all that would exist, with what would be done to it", () => {
  assert.equal(
    textOf(larger, previewOf(larger, empty)),
    `topology 7c9e6679 at ${hash}
├─ network decnet_t_7c9e6679_dmz 10.0.0.0/24              create: missing
├─ network decnet_t_7c9e6679_office 10.0.1.0/24 internal  create: missing
├─ decky decnet_t_7c9e6679_gate 10.0.0.2 10.0.1.2         create: missing
│  ├─ ssh decnet/ssh:latest                               create: missing
│  └─ http nginx:1.27                                     create: missing
├─ decky decnet_t_7c9e6679_desk 10.0.1.3                  create: missing
└─ 6 changes
`,
  );
});

Deno.test("previewText() says of what is right nothing, and what would be done to the rest", () => {
  const { networks, containers } = made(larger);
  const [gate, ssh, http, desk] = containers;
  const changed = {
    networks,
    containers: [
      gate!,
      { ...ssh!, state: "exited" },
      { ...http!, networkMode: "container:x" },
      { ...desk!, state: "paused" },
    ],
  };
  const old = new Map([[topologyLabel, "7c9e6679"]]);
  const inventory = {
    networks: [...changed.networks, { ...networks[0]!, name: "old-lan", subnets: [], labels: old }],
    containers: [...changed.containers, { ...gate!, name: "old-decky", labels: old }],
  };
  assert.equal(
    textOf(larger, previewOf(larger, inventory)),
    `topology 7c9e6679 at ${hash}
├─ network decnet_t_7c9e6679_dmz 10.0.0.0/24
├─ network decnet_t_7c9e6679_office 10.0.1.0/24 internal
├─ decky decnet_t_7c9e6679_gate 10.0.0.2 10.0.1.2
│  ├─ ssh decnet/ssh:latest                               start: stopped
│  └─ http nginx:1.27                                     recreate: ` +
      `does not share the network of decnet_t_7c9e6679_gate
├─ decky decnet_t_7c9e6679_desk 10.0.1.3                  unpause: paused
├─ network old-lan                                        remove: no longer wanted
├─ container old-decky                                    remove: no longer wanted
└─ 6 changes
`,
  );
});

Deno.test("previewText() says that nothing would change, and counts a single change right", () => {
  const lines = textOf(larger, previewOf(larger, made(larger))).trimEnd().split("\n");
  assert.deepEqual(lines.filter((line) => line.includes(": ")), []);
  assert.equal(lines.at(-1), "└─ nothing would change");
  const { networks, containers } = made(larger);
  const one = previewOf(larger, { networks, containers: containers.slice(0, 3) });
  assert.ok(textOf(larger, one).endsWith("\n└─ 1 change\n"));
});

Deno.test("previewText() is short for a topology of nothing", async () => {
  const plan = await planTopology(topology({}), defaultImages);
  const text = textOf(plan, previewOf(plan, empty));
  assert.equal(text, `topology 7c9e6679 at ${hash}\n└─ nothing would change\n`);
});

Deno.test("previewText() does not take a network for a container of the same name", async () => {
  const plan = await planTopology(
    topology({ lans: [lan("x")], deckies: [decky("x", { addresses: { x: "10.0.0.2" } })] }),
    defaultImages,
  );
  const whole = made(plan);
  const lines = (inventory: Inventory) => textOf(plan, previewOf(plan, inventory)).split("\n");
  assert.match(lines(empty)[1]!, /^├─ network .* create: missing$/);
  assert.match(lines(empty)[2]!, /^├─ decky .* create: missing$/);
  const withoutDecky = lines({ ...whole, containers: [] });
  assert.doesNotMatch(withoutDecky[1]!, /: /);
  assert.match(withoutDecky[2]!, / create: missing$/);
});

Deno.test("previewText() has one line for a network, however many bear its name", () => {
  const { networks: [dmz, office], containers } = made(larger);
  const second = { ...dmz!, id: "2", subnets: ["10.9.0.0/24"] };
  for (const networks of [[second, office!], [dmz!, second, { ...second, id: "3" }, office!]]) {
    const lines = textOf(larger, previewOf(larger, { networks, containers })).split("\n");
    const ofDmz = lines.filter((line) => line.startsWith("├─ network decnet_t_7c9e6679_dmz "));
    assert.equal(ofDmz.length, 1);
    assert.match(ofDmz[0]!, / recreate: /);
  }
});

Deno.test("previewText() ends with what is in the way, and why it would be refused", () => {
  const other = "22222222-2222-3333-4444-555555555555";
  const labels = new Map([[topologyLabel, other]]);
  const inventory = { networks: [{ ...network, labels }], containers: [] };
  const removals = findRemovals(
    { topologyId: other, plan: null, wasApplied: true },
    { networks: [{ ...network, name: "theirs", labels }], containers: [] },
  );
  const conflict = `agent already has topology '${other}'; cannot apply '${plan.topologyId}'`;
  const preview = previewOf(plan, inventory, {
    removals: { ...removals, obstacles: ["somebody uses network theirs"] },
    conflict,
  });
  const lines = textOf(plan, preview).trimEnd().split("\n");
  assert.deepEqual(lines.slice(-5), [
    "├─ network theirs                                remove: teardown",
    "└─ 4 changes",
    `refused: ${conflict}`,
    "in the way: somebody uses network theirs",
    `in the way: network ${network.name} exists and is not of this topology (driver bridge, ` +
    `10.0.0.0/24, of topology ${other})`,
  ]);
});

Deno.test("previewText() keeps a line a line, whatever Docker calls things", () => {
  const labels = new Map([[topologyLabel, plan.topologyId]]);
  const nasty = { ...network, name: "a\nb\x1b[31m", subnets: [], labels };
  const preview = previewOf(plan, { ...asApplied, networks: [network, nasty] });
  const lines = textOf(plan, { ...preview, conflict: "x\ny" }).trimEnd().split("\n");
  assert.ok(lines.some((line) => line.startsWith("├─ network a b [31m ")), lines.join("\n"));
  assert.equal(lines.at(-1), "refused: x y");
});

Deno.test("previewJson() holds what Docker would be asked for, what would be done, and what is in the way", () => {
  const [lanPlanned] = plan.networks;
  const [base, service] = plan.containers;
  const labels = new Map([[topologyLabel, "x"]]);
  const removals = findRemovals({ topologyId: "x", plan: null, wasApplied: true }, {
    networks: [{ ...network, name: "theirs", labels }],
    containers: [],
  });
  const preview = previewOf(plan, { networks: made(plan).networks, containers: [] }, {
    removals: { ...removals, obstacles: ["one"] },
    conflict: "two",
  });
  const json = previewJson(candidate(plan), {
    ...preview,
    changes: { ...preview.changes, obstacles: ["three"] },
  });
  assert.deepEqual(json, {
    topology_id: plan.topologyId,
    version_hash: hash,
    networks: [{ name: lanPlanned!.name, request: lanPlanned!.request }],
    containers: [
      { name: base!.name, base: null, request: base!.request },
      { name: service!.name, base: base!.name, request: service!.request },
    ],
    changes: [
      { action: "remove", type: "network", name: "theirs", reason: "teardown" },
      { action: "create", type: "container", name: base!.name, reason: "missing" },
      { action: "create", type: "container", name: service!.name, reason: "missing" },
    ],
    conflict: "two",
    obstacles: ["one", "three"],
  });
  assert.deepEqual(JSON.parse(JSON.stringify(json)), json);
});
