/** What a topology is: its document, version hash, plan and drift. Pure, no I/O. */
export { parseAddress } from "./address.ts";
export { readTopology, type Topology } from "./document.ts";
export { type Difference, type Drift, driftKinds, findDrift } from "./drift.ts";
export { versionHash } from "./hash.ts";
export { isImageReference } from "./image.ts";
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
export {
  defaultImages,
  type ImageNames,
  type Plan,
  planDocument,
  type PlannedContainer,
  type PlannedNetwork,
  planTopology,
} from "./plan.ts";
export type { ContainerRequest, NetworkRequest } from "./requests.ts";
