import {
  type ContainerInfo,
  type Inventory,
  isRunning,
  type NetworkInfo,
  specLabel,
  topologyLabel,
} from "./inventory.ts";
import { compareCodePoints } from "./json.ts";
import type { Plan, PlannedContainer, PlannedNetwork } from "./plan.ts";

/** The ways in which Docker can differ from what was applied. */
export const driftKinds = ["missing", "stopped", "unhealthy", "changed", "unexpected"] as const;

/** One object that is not as applied. */
export interface Difference {
  readonly type: "network" | "container";
  readonly name: string;
  /** What was seen, in words for an operator; empty when there is nothing to add. */
  readonly detail: string;
}

/** Docker compared with what was applied; every list is sorted by name. */
export type Drift =
  & { readonly state: "consistent" | "drifted" }
  & { readonly [kind in (typeof driftKinds)[number]]: readonly Difference[] };

const emptyPlan: Plan = { topologyId: "", networks: [], containers: [] };

/** Compares what exists with the plan, or with nothing when the host is idle. */
export function findDrift(plan: Plan | null, inventory: Inventory): Drift {
  const { topologyId: id, ...planned } = plan ?? emptyPlan;
  const found: Record<(typeof driftKinds)[number], Difference[]> = {
    missing: [],
    stopped: [],
    unhealthy: [],
    changed: [],
    unexpected: [],
  };
  const add = (type: Difference["type"], name: string, difference: ObjectDifference | null) => {
    if (difference) found[difference.kind].push({ type, name, detail: difference.detail });
  };

  // Docker lists networks in another order each time.
  const inOrder = inventory.networks.toSorted((a, b) => compareCodePoints(a.id, b.id));
  const networksByName = Map.groupBy(inOrder, ({ name }) => name);
  for (const network of planned.networks) {
    const namesakes = networksByName.get(network.name) ?? [];
    const actual = bestMatch(network, namesakes, id);
    add("network", network.name, compareNetwork(network, actual, id));
    networksByName.set(network.name, namesakes.filter((it) => it !== actual));
  }
  for (const network of [...networksByName.values()].flat()) {
    add("network", network.name, { kind: "unexpected", detail: origin(network, id) });
  }

  const containers = new Map(inventory.containers.map((container) => [container.name, container]));
  const unplanned = new Map(containers);
  for (const container of planned.containers) {
    const base = containers.get(container.base ?? "");
    const actual = containers.get(container.name);
    add("container", container.name, compareContainer(container, actual, { base, id }));
    unplanned.delete(container.name);
  }
  for (const [name, container] of unplanned) {
    // An idle host may keep what stands still, such as the remains of the first agent.
    if (!plan && !isRunning(container)) continue;
    const detail = [container.state, origin(container, id)].filter((part) => part !== "");
    add("container", name, { kind: "unexpected", detail: detail.join(", ") });
  }

  for (const kind of driftKinds) found[kind].sort((a, b) => compareCodePoints(a.name, b.name));
  const isConsistent = driftKinds.every((kind) => found[kind].length === 0);
  return { state: isConsistent ? "consistent" : "drifted", ...found };
}

/** Of several networks with one name, the one that the plan most probably means. */
function bestMatch(
  planned: PlannedNetwork,
  namesakes: readonly NetworkInfo[],
  id: string,
): NetworkInfo | undefined {
  return namesakes.find((it) => compareNetwork(planned, it, id) === null) ??
    namesakes.find(({ labels }) => labels.get(topologyLabel) === id) ?? namesakes[0];
}

/** How one object differs, and what was seen, in words for an operator. */
interface ObjectDifference {
  readonly kind: (typeof driftKinds)[number];
  readonly detail: string;
}

const missing: ObjectDifference = { kind: "missing", detail: "" };

/** Compares a planned network of topology `id` with the one that has its name. */
function compareNetwork(
  planned: PlannedNetwork,
  actual: NetworkInfo | undefined,
  id: string,
): ObjectDifference | null {
  if (!actual) return missing;
  const change = foreign(actual, id) ?? networkChange(planned, actual);
  return change === null ? null : { kind: "changed", detail: change };
}

/** Compares a planned container of topology `id` with the one that has its name, and its base. */
function compareContainer(
  planned: PlannedContainer,
  actual: ContainerInfo | undefined,
  { base, id }: { base: ContainerInfo | undefined; id: string },
): ObjectDifference | null {
  if (!actual) return missing;
  if (!isRunning(actual)) return { kind: "stopped", detail: actual.state };
  if (actual.state !== "running") return { kind: "unhealthy", detail: actual.state };
  const change = foreign(actual, id) ?? containerChange(planned, actual, base) ??
    (isLeftBehind(actual, base) ? `runs longer than ${base!.name}, whose network it shared` : null);
  if (change !== null) return { kind: "changed", detail: change };
  return actual.unhealthy ? { kind: "unhealthy", detail: "health check failing" } : null;
}

/** The topology that an object's label names, in words, `own` being the expected one; or empty. */
export function origin({ labels }: NetworkInfo | ContainerInfo, own?: string): string {
  const id = labels.get(topologyLabel);
  if (id === undefined) return "";
  return id === own ? "of this topology" : `of topology ${id}`;
}

/** How a network is not as planned, in words, or null. */
export function networkChange(planned: PlannedNetwork, actual: NetworkInfo): string | null {
  if (actual.driver !== "bridge") return `driver ${actual.driver}, not bridge`;
  if (actual.subnets.length !== 1 || actual.subnets[0] !== planned.subnet) {
    return `subnet ${actual.subnets.join(" ") || "none"}, not ${planned.subnet}`;
  }
  if (actual.internal !== planned.internal) return planned.internal ? "not internal" : "internal";
  return specChange(planned, actual);
}

/** How a container is not as planned, whether it runs or not, in words, or null. */
export function containerChange(
  planned: PlannedContainer,
  actual: ContainerInfo,
  base: ContainerInfo | undefined,
): string | null {
  const change = planned.base === null ? addressChange(planned, actual) : baseChange(actual, base);
  return change ?? specChange(planned, actual);
}

/**
 * Whether a service runs for longer than its base: the base was started again without it, and the
 * service is still in the old network, without any other container.
 */
export function isLeftBehind(actual: ContainerInfo, base: ContainerInfo | undefined): boolean {
  return actual.uptime !== null && (base?.uptime ?? null) !== null &&
    actual.uptime.atLeast > base!.uptime!.atMost;
}

/** An object without the label may be one that another program made for the same topology. */
function foreign(actual: NetworkInfo | ContainerInfo, id: string): string | null {
  return (actual.labels.get(topologyLabel) ?? id) === id ? null : origin(actual, id);
}

/** Compares digests, for what the engine's lists do not show. */
function specChange(
  { request }: PlannedNetwork | PlannedContainer,
  { labels }: NetworkInfo | ContainerInfo,
): string | null {
  const spec = labels.get(specLabel);
  return spec === undefined || spec === request.Labels[specLabel]
    ? null
    : "made from another specification";
}

function addressChange(planned: PlannedContainer, actual: ContainerInfo): string | null {
  for (const [network, address] of planned.addressByNetwork) {
    const found = actual.addressByNetwork.get(network);
    if (found === undefined) return `not attached to ${network}`;
    // A container that restarts again and again has no address in between.
    const hasAddress = actual.state === "running" || actual.state === "paused";
    if (hasAddress && found !== address) {
      return `address ${found || "none"} on ${network}, not ${address}`;
    }
  }
  for (const network of actual.addressByNetwork.keys()) {
    if (!planned.addressByNetwork.has(network)) return `attached to ${network}`;
  }
  return null;
}

function baseChange(actual: ContainerInfo, base: ContainerInfo | undefined): string | null {
  // An absent base is reported as missing itself; Podman's list does not have the mode.
  if (!base || actual.networkMode === "") return null;
  const isShared = [base.id, base.name].includes(actual.networkMode.replace(/^container:/, ""));
  if (isShared) return null;
  return `does not share the network of ${base.name}`;
}

/**
 * Whether a network with a planned name may be changed and removed: it has our label, or none and the
 * planned driver and subnet, as one that another program made for the same topology.
 */
export function isOurNetwork(planned: PlannedNetwork, actual: NetworkInfo, id: string): boolean {
  const label = actual.labels.get(topologyLabel);
  if (label !== undefined) return label === id;
  return actual.driver === "bridge" && actual.subnets.length === 1 &&
    actual.subnets[0] === planned.subnet;
}

/** The same for a container with a planned name: without a label, it must be attached as planned. */
export function isOurContainer(
  planned: PlannedContainer,
  actual: ContainerInfo,
  { base, id }: { base: ContainerInfo | undefined; id: string },
): boolean {
  const label = actual.labels.get(topologyLabel);
  if (label !== undefined) return label === id;
  // A service without its base, or in Podman, may belong to anything.
  if (planned.base !== null && (!base || actual.networkMode === "")) return false;
  return containerChange(planned, actual, base) === null;
}
