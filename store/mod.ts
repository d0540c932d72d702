/** The one-row cache of the topology applied last. */
export { isLocked } from "./file.ts";
export { type AppliedTopology, maximumDocumentBytes } from "./row.ts";
export { StoreReader } from "./store_reader.ts";
export { AlreadyApplied, TopologyStore, unknownDocument } from "./topology_store.ts";
