import assert from "node:assert/strict";
import { Engine } from "../docker/engine.ts";
import { type ApplyHost, oneLan, withHost } from "../tests/support/apply_host.ts";
import { network } from "../tests/support/engine/state.ts";
import { readTopology } from "../topology/document.ts";
import { parseJson } from "../topology/json.ts";
import { defaultImages, planTopology } from "../topology/plan.ts";
import { computeChangeSet } from "./reconcile.ts";

/** A plan on the subnet in which every machine has an address; validation refuses its document. */
const loopback = await planTopology(
  readTopology(parseJson(oneLan.text.replaceAll("198.19.0.", "127.0.0."))),
  defaultImages,
);

async function changeSetOf(
  { engine: { socketPath } }: ApplyHost,
  supersededId: string | null = null,
) {
  const superseded = supersededId === null
    ? null
    : { topologyId: supersededId, versionHash: "h", document: "{}" };
  const engine = new Engine(socketPath, new AbortController().signal);
  try {
    return await computeChangeSet(engine, loopback, { superseded, images: defaultImages });
  } finally {
    engine.close();
  }
}

Deno.test("computeChangeSet() finds an address of the host in a subnet", () =>
  withHost(async (host) => {
    const { changes: { obstacles } } = await changeSetOf(host);
    assert.equal(obstacles.length, 1);
    assert.match(
      obstacles[0]!,
      /^subnet 127\.0\.0\.0\/24 of \S+lan-00 contains an address of this host's int/,
    );
  }));

for (const id of [loopback.topologyId, "an older one"]) {
  Deno.test(`computeChangeSet() reuses the subnet of ${id.slice(0, 8)}`, () =>
    withHost(async (host) => {
      const { name, subnet } = loopback.networks[0]!;
      const old = { name, subnet, internal: true, labels: { "decnet.topology.id": id } };
      host.engine.networks = [network(old)];
      const isOther = id !== loopback.topologyId;
      const { removals, changes } = await changeSetOf(host, isOther ? id : null);
      assert.deepEqual([...removals.obstacles, ...changes.obstacles], []);
      const actions = [...removals.networks, ...changes.networks].map(({ action }) => action);
      assert.deepEqual(actions, ["remove", "create"]);
    }));
}
