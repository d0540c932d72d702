import { type Changes, foreignGuests } from "./changes.ts";
import type { ContainerChange } from "./container_changes.ts";
import {
  type ContainerFact,
  type Inventory,
  type NetworkFact,
  specLabel,
  topologyLabel,
} from "../inventory.ts";
import { compareCodePoints } from "../json.ts";
import type { NetworkChange } from "./network_changes.ts";
import { isOurContainer, isOurNetwork } from "./ownership.ts";
import type { Plan } from "../plan.ts";

/** What is known of a topology that is to be torn down. */
export interface Remembered {
  readonly topologyId: string;
  /** Null where no document is known. */
  readonly plan: Plan | null;
  /** It was applied once, and so nothing foreign bore its names then. */
  readonly wasApplied: boolean;
}

/**
 * What a teardown removes: all that carries the topology's label, and what bears a planned name, no
 * label, and looks as planned. Where nothing of it was made by this agent, another program applied it
 * without labels: then what bears a planned name is of it, whatever it looks like.
 */
export function findRemovals(
  { topologyId: id, plan, wasApplied }: Remembered,
  inventory: Inventory,
): Changes {
  const plannedNetworks = new Map(plan?.networks.map((it) => [it.name, it]));
  const plannedContainers = new Map(plan?.containers.map((it) => [it.name, it]));
  const byName = new Map(inventory.containers.map((it) => [it.name, it]));
  const isLabelled = ({ labels }: NetworkFact | ContainerFact) => labels.has(topologyLabel);
  const isMadeByUs = [...inventory.networks, ...inventory.containers].some(({ labels }) =>
    labels.get(topologyLabel) === id && labels.has(specLabel)
  );
  const isNameEnough = wasApplied && !isMadeByUs;
  const isNetworkOurs = (fact: NetworkFact) => {
    const planned = plannedNetworks.get(fact.name);
    if (isLabelled(fact) || !planned) return fact.labels.get(topologyLabel) === id;
    return isNameEnough || isOurNetwork(planned, fact, id);
  };
  const isContainerOurs = (fact: ContainerFact) => {
    const planned = plannedContainers.get(fact.name);
    if (isLabelled(fact) || !planned) return fact.labels.get(topologyLabel) === id;
    const base = planned.base === null ? undefined : byName.get(planned.base);
    return isNameEnough || isOurContainer(planned, fact, { base, id });
  };
  const reason = "teardown";
  const containers: ContainerChange[] = inventory.containers.filter(isContainerOurs)
    .map((fact) => ({ action: "remove", fact, reason }));
  const networks: NetworkChange[] = inventory.networks.filter(isNetworkOurs)
    .sort((a, b) => compareCodePoints(b.name, a.name))
    .map((fact) => ({ action: "remove", fact, reason }));
  return { networks, containers, obstacles: foreignGuests(networks, containers, inventory) };
}
