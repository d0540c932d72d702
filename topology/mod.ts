/** What a topology is: its document, version hash, plan, drift, and what changes. Pure, no I/O. */
export { parseAddress } from "./address.ts";
export { type Changes, findChanges, foreignGuests, type Surroundings } from "./changes/changes.ts";
export type {
  ContainerChange,
  ContainerCreation,
  ContainerRepair,
} from "./changes/container_changes.ts";
export { readTopology, type Topology } from "./document.ts";
export { type Difference, type Drift, driftKinds, findDrift } from "./drift.ts";
export { versionHash } from "./hash.ts";
export {
  type ContainerFact,
  imageLabel,
  type Inventory,
  isRunning,
  isService,
  type NetworkFact,
  topologyLabel,
  type Uptime,
} from "./inventory.ts";
export { compareCodePoints, type Json, NumberToken, parseJson, writeJson } from "./json.ts";
export { isImageReference } from "./validation/name.ts";
export {
  addressesOutside,
  type HostAddress,
  type NetworkChange,
} from "./changes/network_changes.ts";
export {
  defaultImages,
  type ImageNames,
  type Plan,
  type PlannedContainer,
  type PlannedNetwork,
  planTopology,
} from "./plan.ts";
export type { ContainerRequest, NetworkRequest } from "./requests.ts";
export { findRemovals, type Remembered } from "./changes/removals.ts";
export { describeProblems, validateTopology } from "./validation/validation.ts";
