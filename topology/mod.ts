/** What a topology is: its document, version hash, plan and drift. Pure, no I/O. */
export { readTopology, type Topology } from "./document.ts";
export { type Difference, type Drift, driftKinds, findDrift } from "./drift.ts";
export { versionHash } from "./hash.ts";
export {
  type ContainerFact,
  type Inventory,
  isRunning,
  type NetworkFact,
  topologyLabel,
} from "./inventory.ts";
export { compareCodePoints, parseJson, writeJson } from "./json.ts";
export { type Plan, planTopology } from "./plan.ts";
