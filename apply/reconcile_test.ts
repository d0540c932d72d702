import assert from "node:assert/strict";
import { standInOptions } from "../tests/support/topology.ts";
import { Engine } from "../docker/engine.ts";
import { type ApplyHost, oneLan, onHost } from "../tests/support/apply_host.ts";
import { network, networkOf } from "../tests/support/engine/state.ts";
import { readTopology } from "../topology/document.ts";
import { parseJson } from "../topology/json.ts";
import { type Plan, planTopology } from "../topology/plan.ts";
import type { Peers } from "./host_network.ts";
import { computeChangeSet } from "./reconcile.ts";

/** A plan on the subnet in which every machine has an address; validation refuses its document. */
const loopback = await planTopology(
  readTopology(parseJson(oneLan.text.replaceAll("198.19.0.", "127.0.0."))),
  standInOptions,
);
const master = { host: "localhost", port: 1, name: "localhost", fingerprint: null };

async function changeSetOf(
  { engine: { socketPath } }: ApplyHost,
  { plan = oneLan.plan, supersededId, peers = { master: null } }: {
    plan?: Plan;
    supersededId?: string | undefined;
    peers?: Peers;
  },
) {
  const superseded = supersededId === undefined
    ? null
    : { topologyId: supersededId, versionHash: "h", document: "{}" };
  const { signal } = new AbortController();
  const engine = new Engine(socketPath, signal);
  try {
    const context = { superseded, planOptions: standInOptions, peers, listen: null, signal };
    return await computeChangeSet(engine, plan, context);
  } finally {
    engine.close();
  }
}

onHost.test("computeChangeSet() finds an address of the host in a subnet", async (host) => {
  const { changes: { obstacles } } = await changeSetOf(host, { plan: loopback });
  assert.equal(obstacles.length, 1);
  assert.match(
    obstacles[0]!,
    /^subnet 127\.0\.0\.0\/24 of \S+lan-00 overlaps 127\.0\.0\.1\/8 of this host's interface lo/,
  );
});

onHost.test("computeChangeSet() keeps the master and the caller out of the LANs", async (host) => {
  const cases: [peers: Peers, conflict: string | null][] = [
    [{ master: null }, null],
    [{ master: null, callerAddress: "198.19.0.9" }, "the address that this call came from"],
    [
      { master: null, callerAddress: "::ffff:198.19.0.9" },
      "the address that this call came from",
    ],
    [{ master: null, callerAddress: "198.19.1.9" }, null],
    [{ master: { ...master, host: "198.19.0.9" } }, "the address of the master"],
    [{ master: { ...master, host: "198.19.9" } }, "the address of the master"],
    [{ master: { ...master, host: "::ffff:198.19.0.9" } }, "the address of the master"],
    [{ master }, null],
    [{ master: { ...master, host: "no-such-host.invalid" } }, null],
  ];
  const { networks: [lan] } = oneLan.plan;
  for (const [peers, what] of cases) {
    const { changes: { obstacles } } = await changeSetOf(host, { peers });
    const holds = `subnet 198.19.0.0/24 of ${
      lan!.name
    } holds ${what}, 198.19.0.9: choose another subnet`;
    assert.deepEqual(obstacles, what === null ? [] : [holds], JSON.stringify(peers));
  }
  // A network that exists, and is right, is no obstacle.
  host.engine.networks = [networkOf(lan!)];
  assert.deepEqual((await changeSetOf(host, { peers: cases[1]![0] })).changes.obstacles, []);
});

for (const isOther of [false, true]) {
  const whose = isOther ? "a superseded" : "the same";
  onHost.test(`computeChangeSet() reuses the subnet of ${whose} topology`, async (host) => {
    const { topologyId, networks: [lan] } = oneLan.plan;
    const id = isOther ? `${topologyId.slice(0, 8)}-older` : topologyId;
    const { name, subnet } = lan!;
    const old = { name, subnet, internal: true, labels: { "decnet.topology.id": id } };
    host.engine.networks = [network(old)];
    const { removals, changes } = await changeSetOf(host, isOther ? { supersededId: id } : {});
    assert.deepEqual([...removals.obstacles, ...changes.obstacles], []);
    const actions = [...removals.networks, ...changes.networks].map(({ action }) => action);
    assert.deepEqual(actions, ["remove", "create"]);
  });
}
