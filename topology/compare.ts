import {
  type ContainerFact,
  isRunning,
  type NetworkFact,
  specLabel,
  topologyLabel,
} from "./inventory.ts";
import type { PlannedContainer, PlannedNetwork } from "./plan.ts";

/** How one object that was planned differs, and what was seen, in words for an operator. */
export interface Deviation {
  readonly kind: "missing" | "stopped" | "unhealthy" | "changed";
  readonly detail: string;
}

const missing: Deviation = { kind: "missing", detail: "" };

/** Compares a network of topology `id` with the one that bears its name. */
export function compareNetwork(
  planned: PlannedNetwork,
  fact: NetworkFact | undefined,
  id: string,
): Deviation | null {
  if (!fact) return missing;
  const change = foreign(fact, id) ?? networkChange(planned, fact);
  return change === null ? null : { kind: "changed", detail: change };
}

/** Compares a container of topology `id` with the one that bears its name, and that one's base. */
export function compareContainer(
  planned: PlannedContainer,
  fact: ContainerFact | undefined,
  { base, id }: { base: ContainerFact | undefined; id: string },
): Deviation | null {
  if (!fact) return missing;
  if (!isRunning(fact)) return { kind: "stopped", detail: fact.state };
  if (fact.state !== "running") return { kind: "unhealthy", detail: fact.state };
  const change = foreign(fact, id) ?? containerChange(planned, fact, base) ??
    (isLeftBehind(fact, base) ? `runs longer than ${base!.name}, whose network it shared` : null);
  if (change !== null) return { kind: "changed", detail: change };
  return fact.unhealthy ? { kind: "unhealthy", detail: "health check failing" } : null;
}

/**
 * The topology that an object says it is part of, in words; `own` is the one that is meant. Empty
 * when it says nothing.
 */
export function origin({ labels }: NetworkFact | ContainerFact, own?: string): string {
  const id = labels.get(topologyLabel);
  if (id === undefined) return "";
  return id === own ? "of this topology" : `of topology ${id}`;
}

/** How a network is not as planned, in words, or null. */
export function networkChange(planned: PlannedNetwork, fact: NetworkFact): string | null {
  if (fact.driver !== "bridge") return `driver ${fact.driver}, not bridge`;
  if (fact.subnets.length !== 1 || fact.subnets[0] !== planned.subnet) {
    return `subnet ${fact.subnets.join(" ") || "none"}, not ${planned.subnet}`;
  }
  if (fact.internal !== planned.internal) return planned.internal ? "not internal" : "internal";
  return specChange(planned, fact);
}

/** How a container is not as planned, whether it runs or not, in words, or null. */
export function containerChange(
  planned: PlannedContainer,
  fact: ContainerFact,
  base: ContainerFact | undefined,
): string | null {
  const change = planned.base === null ? addressChange(planned, fact) : baseChange(fact, base);
  return change ?? specChange(planned, fact);
}

/**
 * Whether a service runs for longer than its base, which so was started anew without it: the service
 * is still in the network of before, which nobody else is in any more.
 */
export function isLeftBehind(fact: ContainerFact, base: ContainerFact | undefined): boolean {
  return fact.uptime !== null && (base?.uptime ?? null) !== null &&
    fact.uptime.atLeast > base!.uptime!.atMost;
}

/** An object without the label may be one that another program made for the same topology. */
function foreign(fact: NetworkFact | ContainerFact, id: string): string | null {
  return (fact.labels.get(topologyLabel) ?? id) === id ? null : origin(fact, id);
}

/** The last resort: what the lists do not show has changed. */
function specChange(
  { request }: PlannedNetwork | PlannedContainer,
  { labels }: NetworkFact | ContainerFact,
): string | null {
  const spec = labels.get(specLabel);
  return spec === undefined || spec === request.Labels[specLabel]
    ? null
    : "made from another specification";
}

function addressChange(planned: PlannedContainer, fact: ContainerFact): string | null {
  for (const [network, address] of planned.addressByNetwork) {
    const actual = fact.addressByNetwork.get(network);
    if (actual === undefined) return `not attached to ${network}`;
    // One that restarts again and again has no address in between.
    const hasAddress = fact.state === "running" || fact.state === "paused";
    if (hasAddress && actual !== address) {
      return `address ${actual || "none"} on ${network}, not ${address}`;
    }
  }
  for (const network of fact.addressByNetwork.keys()) {
    if (!planned.addressByNetwork.has(network)) return `attached to ${network}`;
  }
  return null;
}

function baseChange(fact: ContainerFact, base: ContainerFact | undefined): string | null {
  // A base that is absent is reported itself, as missing; Podman's list does not tell the mode.
  if (!base || fact.networkMode === "") return null;
  if (fact.networkMode === `container:${base.id}`) return null;
  if (fact.networkMode === `container:${base.name}`) return null;
  return `does not share the network of ${base.name}`;
}
