import { type ContainerChange, findContainerChanges } from "./container_changes.ts";
import { type ContainerFact, type Inventory, isRunning } from "../inventory.ts";
import { findNetworkChanges, type HostAddress, type NetworkChange } from "./network_changes.ts";
import type { Plan } from "../plan.ts";

/** What makes Docker as planned, and nothing more; what is made anew is removed and created. */
export interface Changes {
  readonly networks: readonly NetworkChange[];
  readonly containers: readonly ContainerChange[];
  /** What stands in the way, in words: nothing may be changed while there is any. */
  readonly obstacles: readonly string[];
}

/** What an apply depends on besides the engine's networks and containers. */
export interface Surroundings {
  /** Image name → its id, or null when it is absent, for each image of the plan. */
  readonly imageIds: ReadonlyMap<string, string | null>;
  /** Outside Docker's networks, also of those that will have gone by then. */
  readonly hostAddresses: readonly HostAddress[];
}

/** Compares a plan with all that exists in the engine. */
export function findChanges(
  plan: Plan,
  inventory: Inventory,
  { imageIds, hostAddresses }: Surroundings,
): Changes {
  const networks = findNetworkChanges(plan, inventory.networks, hostAddresses);
  const newNetworks = new Set(
    networks.changes.flatMap((it) => it.action === "create" ? [it.planned.name] : []),
  );
  const containers = findContainerChanges(plan, inventory.containers, { newNetworks, imageIds });
  return {
    networks: networks.changes,
    containers: containers.changes,
    obstacles: [
      ...networks.obstacles,
      ...containers.obstacles,
      ...foreignGuests(networks.changes, containers.changes, inventory),
      ...missingImages(containers.changes, imageIds),
    ],
  };
}

/** The engine removes no network that somebody else's container uses. */
export function foreignGuests(
  networks: readonly NetworkChange[],
  containers: readonly ContainerChange[],
  inventory: Inventory,
): string[] {
  const removed = new Set<ContainerFact>(
    containers.flatMap((it) => it.action === "remove" ? [it.fact] : []),
  );
  const guests = inventory.containers.filter((it) => isRunning(it) && !removed.has(it));
  return networks.filter(({ action }) => action === "remove").flatMap((it) => {
    const { name } = (it as Extract<NetworkChange, { action: "remove" }>).fact;
    return guests.filter(({ addressByNetwork }) => addressByNetwork.has(name)).map((guest) =>
      `container ${guest.name}, which is not of this topology, uses network ${name}`
    );
  });
}

function missingImages(
  changes: readonly ContainerChange[],
  imageIds: Surroundings["imageIds"],
): string[] {
  const names = changes.flatMap((it) => it.action === "create" ? [it.planned.request.Image] : []);
  const missing = [...new Set(names)].filter((name) => (imageIds.get(name) ?? null) === null);
  return missing.length === 0 ? [] : [`images that are not on this host: ${missing.join(", ")}`];
}
