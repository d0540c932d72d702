/** The one-row cache of the topology applied last. */
export { StoreReader } from "./store_reader.ts";
export {
  AlreadyApplied,
  type AppliedTopology,
  TopologyStore,
  unknownDocument,
} from "./topology_store.ts";
