/** What must change in Docker for a topology to be as planned, or to go. Pure, no I/O. */
export { type Changes, findChanges, foreignGuests, type Surroundings } from "./changes.ts";
export type { ContainerChange, ContainerCreation, ContainerRepair } from "./container_changes.ts";
export { addressesOutside, type HostAddress, type NetworkChange } from "./network_changes.ts";
export { findRemovals, type Remembered } from "./removals.ts";
