/** The one-row cache of the topology applied last. */
export { explain } from "./advice.ts";
export { findDamage, isDamage } from "./damage.ts";
export {
  findFolderProblem,
  findWriteProblem,
  isLocked,
  isWritingImpossible,
  lockPathOf,
  versionOf,
} from "./file.ts";
export { StoreMemory } from "./memory.ts";
export { openLastingStore, openStore, type TopologyRows } from "./lasting_store.ts";
export { listSetAside, setAsideIfDamaged, UnmovableStore } from "./quarantine.ts";
export { type AppliedTopology, maximumDocumentBytes } from "./row.ts";
export { StoreReader } from "./store_reader.ts";
export { AlreadyApplied, TopologyStore, unknownDocument } from "./topology_store.ts";
