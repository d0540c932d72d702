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
  /** Details for an operator; may be empty. */
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

  // Sorted, as Docker lists networks in any order.
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
    // Accepts stopped containers on an idle host, such as those of an older agent.
    if (!plan && !isRunning(container)) continue;
    const detail = [container.state, origin(container, id)].filter((part) => part !== "");
    add("container", name, { kind: "unexpected", detail: detail.join(", ") });
  }

  for (const kind of driftKinds) found[kind].sort((a, b) => compareCodePoints(a.name, b.name));
  const isConsistent = driftKinds.every((kind) => found[kind].length === 0);
  return { state: isConsistent ? "consistent" : "drifted", ...found };
}

/** Chooses the network that the plan most probably means, of several with one name. */
function bestMatch(
  planned: PlannedNetwork,
  namesakes: readonly NetworkInfo[],
  id: string,
): NetworkInfo | undefined {
  return namesakes.find((it) => compareNetwork(planned, it, id) === null) ??
    namesakes.find(({ labels }) => labels.get(topologyLabel) === id) ?? namesakes[0];
}

/** How one object differs, with details for an operator. */
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

/** Describes the topology of an object's label; `own` is the expected id. Empty without a label. */
export function origin({ labels }: NetworkInfo | ContainerInfo, own?: string): string {
  const id = labels.get(topologyLabel);
  if (id === undefined) return "";
  return id === own ? "of this topology" : `of topology ${id}`;
}

/** Describes how a network differs from the plan; null when it does not. */
export function networkChange(planned: PlannedNetwork, actual: NetworkInfo): string | null {
  if (actual.driver !== "bridge") return `driver ${actual.driver}, not bridge`;
  if (actual.subnets.length !== 1 || actual.subnets[0] !== planned.subnet) {
    return `subnet ${actual.subnets.join(" ") || "none"}, not ${planned.subnet}`;
  }
  if (actual.internal !== planned.internal) return planned.internal ? "not internal" : "internal";
  return specChange(planned, actual);
}

/** Describes how a container, running or not, differs from the plan; null when it does not. */
export function containerChange(
  planned: PlannedContainer,
  actual: ContainerInfo,
  base: ContainerInfo | undefined,
): string | null {
  const change = planned.base === null ? addressChange(planned, actual) : baseChange(actual, base);
  return change ?? specChange(planned, actual);
}

/**
 * Whether a service has been running longer than its base: then the base was restarted, and the service
 * is still in the old network, alone.
 */
export function isLeftBehind(actual: ContainerInfo, base: ContainerInfo | undefined): boolean {
  return actual.uptime !== null && (base?.uptime ?? null) !== null &&
    actual.uptime.atLeast > base!.uptime!.atMost;
}

/** Describes a label of another topology; null without a label: another program may not set one. */
function foreign(actual: NetworkInfo | ContainerInfo, id: string): string | null {
  return (actual.labels.get(topologyLabel) ?? id) === id ? null : origin(actual, id);
}

/** Compares digests, to find differences that the engine's lists do not show. */
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
    // A container in a restart loop has no address between two starts.
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
  // A missing base is reported by itself; Podman's list has no network mode.
  if (!base || actual.networkMode === "") return null;
  const isShared = [base.id, base.name].includes(actual.networkMode.replace(/^container:/, ""));
  if (isShared) return null;
  return `does not share the network of ${base.name}`;
}

/**
 * Whether a network with a planned name may be changed and removed: it has our label; or it has no label,
 * but the planned driver and subnet, so that another program made it for the same topology.
 */
export function isOurNetwork(planned: PlannedNetwork, actual: NetworkInfo, id: string): boolean {
  const label = actual.labels.get(topologyLabel);
  if (label !== undefined) return label === id;
  return actual.driver === "bridge" && actual.subnets.length === 1 &&
    actual.subnets[0] === planned.subnet;
}

/** Like `isOurNetwork()` for a container; without a label, it must be attached as planned. */
export function isOurContainer(
  planned: PlannedContainer,
  actual: ContainerInfo,
  { base, id }: { base: ContainerInfo | undefined; id: string },
): boolean {
  const label = actual.labels.get(topologyLabel);
  if (label !== undefined) return label === id;
  // Without the base or, in Podman, the network mode, this cannot be checked.
  if (planned.base !== null && (!base || actual.networkMode === "")) return false;
  return containerChange(planned, actual, base) === null;
}
