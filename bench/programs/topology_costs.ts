/**
 * Does all that is done with a topology of so many deckies, step by step: ROUNDS DECKIES…. Prints for
 * each size the shortest time of each step in milliseconds, as JSON. Sizes come in turn, so that a
 * machine that slows down slows all of them.
 */

import { standInOptions } from "../../tests/support/topology.ts";
import assert from "node:assert/strict";
import { readContainers, readNetworks } from "../../docker/lists.ts";
import { imageIdOf } from "../../tests/support/engine/state.ts";
import { findChanges } from "../../topology/changes.ts";
import { readTopology } from "../../topology/document.ts";
import { findDrift } from "../../topology/drift.ts";
import { versionHash } from "../../topology/hash.ts";
import { parseJson, writeJson } from "../../topology/json.ts";
import { planTopology } from "../../topology/plan.ts";
import { validateTopology } from "../../topology/validate.ts";
import { documentOf, runningOf } from "../documents.ts";

type Host = Awaited<ReturnType<typeof hostOf>>;

/** Returns a document, the engine's lists of what runs of it, and the least time of each step. */
async function hostOf(deckies: number) {
  const document = documentOf(deckies, ["ssh"]);
  const { networks, containers } = await runningOf(document);
  const lists = { networks: JSON.stringify(networks), containers: JSON.stringify(containers) };
  return { document, ...lists, leastMs: {} as Record<string, number> };
}

async function measure<T>(host: Host, step: string, work: () => T | Promise<T>): Promise<T> {
  const startedAt = performance.now();
  const result = await work();
  const ms = performance.now() - startedAt;
  host.leastMs[step] = Math.min(host.leastMs[step] ?? Infinity, ms);
  return result;
}

async function runSteps(host: Host): Promise<void> {
  const json = await measure(host, "parse", () => parseJson(host.document));
  const topology = await measure(host, "read", () => readTopology(json));
  const plan = await measure(host, "plan", () => planTopology(topology, standInOptions));
  const inventory = await measure(host, "list", () => ({
    networks: readNetworks(JSON.parse(host.networks)),
    containers: readContainers(JSON.parse(host.containers)),
  }));
  const drift = await measure(host, "drift", () => findDrift(plan, inventory));
  assert.equal(drift.state, "consistent");
  await measure(host, "hash", () => versionHash(json));
  assert.deepEqual(
    await measure(host, "validate", () => validateTopology(topology, standInOptions)),
    [],
  );
  await measure(host, "write", () => writeJson(json));
  const images = new Set(plan.containers.map(({ request }) => request.Image));
  const imageIds = new Map([...images].map((name) => [name, imageIdOf(name)]));
  const empty = { networks: [], containers: [] };
  const changes = await measure(host, "changes", () => findChanges(plan, empty, imageIds));
  assert.equal(changes.containers.length, plan.containers.length);
}

const [rounds = 1, ...sizes] = Deno.args.map(Number);
const hosts = await Promise.all(sizes.map(hostOf));
for (let round = 0; round < rounds; round++) {
  for (const host of hosts) await runSteps(host);
}
const text = JSON.stringify(hosts.map(({ leastMs }) => leastMs));
await Deno.stdout.write(new TextEncoder().encode(text));
