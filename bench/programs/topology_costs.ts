/**
 * What is done with a topology of so many deckies, each time step by step: ROUNDS DECKIES.... Prints,
 * for each size, the shortest time of each step in milliseconds, as JSON. Sizes come in turn, so that
 * a machine that slows down slows all of them.
 */

import assert from "node:assert/strict";
import { readContainers, readNetworks } from "../../docker/lists.ts";
import { imageIdOf } from "../../tests/support/engine/state.ts";
import { findChanges } from "../../topology/changes.ts";
import { readTopology, type Topology } from "../../topology/document.ts";
import { findDrift } from "../../topology/drift.ts";
import { versionHash } from "../../topology/hash.ts";
import { type Json, parseJson, writeJson } from "../../topology/json.ts";
import { defaultImages, type Plan, planTopology } from "../../topology/plan.ts";
import { validateTopology } from "../../topology/validate.ts";
import { runningOf, topologyOf } from "../size.ts";

interface Host {
  readonly document: string;
  readonly networks: string;
  readonly containers: string;
  readonly least: Record<string, number>;
}

async function hostOf(deckies: number): Promise<Host> {
  const document = topologyOf(deckies);
  const { networks, containers } = await runningOf(document);
  return {
    document,
    networks: JSON.stringify(networks),
    containers: JSON.stringify(containers),
    least: {},
  };
}

async function goThrough(host: Host): Promise<void> {
  const took = async <T>(step: string, work: () => T | Promise<T>): Promise<T> => {
    const startedAt = performance.now();
    const result = await work();
    const ms = performance.now() - startedAt;
    host.least[step] = Math.min(host.least[step] ?? Infinity, ms);
    return result;
  };
  const json: Json = await took("parse", () => parseJson(host.document));
  const topology: Topology = await took("read", () => readTopology(json));
  const plan: Plan = await took("plan", () => planTopology(topology, defaultImages));
  const inventory = await took("list", () => ({
    networks: readNetworks(JSON.parse(host.networks)),
    containers: readContainers(JSON.parse(host.containers)),
  }));
  const drift = await took("drift", () => findDrift(plan, inventory));
  assert.equal(drift.state, "consistent");
  await took("hash", () => versionHash(json));
  assert.deepEqual(await took("validate", () => validateTopology(topology)), []);
  await took("write", () => writeJson(json));
  const images = [...new Set(plan.containers.map(({ request }) => request.Image))];
  const imageIds = new Map(images.map((name) => [name, imageIdOf(name)]));
  const nothing = { networks: [], containers: [] };
  const changes = await took("changes", () => {
    return findChanges(plan, nothing, { imageIds, hostAddresses: [] });
  });
  assert.equal(changes.containers.length, plan.containers.length);
}

const [rounds, ...sizes] = Deno.args.map(Number) as [number, ...number[]];
const hosts: Host[] = [];
for (const size of sizes) hosts.push(await hostOf(size));
for (let round = 0; round < rounds; round++) {
  for (const host of hosts) await goThrough(host);
}
await Deno.stdout.write(new TextEncoder().encode(JSON.stringify(hosts.map(({ least }) => least))));
