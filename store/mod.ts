/** The one-row cache of the topology applied last. */
export {
  AlreadyApplied,
  type AppliedTopology,
  TopologyStore,
  unknownDocument,
} from "./topology_store.ts";
