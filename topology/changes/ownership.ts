import { containerChange } from "../compare.ts";
import { type ContainerFact, type NetworkFact, topologyLabel } from "../inventory.ts";
import type { PlannedContainer, PlannedNetwork } from "../plan.ts";

/**
 * Whether a network that bears a planned name may be changed and removed: it has our label, or none
 * and the planned driver and subnet, as one that another program made for the same topology.
 */
export function isOurNetwork(planned: PlannedNetwork, fact: NetworkFact, id: string): boolean {
  const label = fact.labels.get(topologyLabel);
  if (label !== undefined) return label === id;
  return fact.driver === "bridge" && fact.subnets.length === 1 &&
    fact.subnets[0] === planned.subnet;
}

/** Whether a container that bears a planned name may be: without a label, it is attached as planned. */
export function isOurContainer(
  planned: PlannedContainer,
  fact: ContainerFact,
  { base, id }: { base: ContainerFact | undefined; id: string },
): boolean {
  const label = fact.labels.get(topologyLabel);
  if (label !== undefined) return label === id;
  // Of a service without its base, and in Podman, it cannot be told whom it belongs to.
  if (planned.base !== null && (!base || fact.networkMode === "")) return false;
  return containerChange(planned, fact, base) === null;
}
