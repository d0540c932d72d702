import {
  type ContainerFact,
  type Inventory,
  isRunning,
  type NetworkFact,
  topologyLabel,
} from "./inventory.ts";
import { compareCodePoints } from "./json.ts";
import type { Plan, PlannedContainer, PlannedNetwork } from "./plan.ts";

/** The ways in which Docker can differ from what was applied. */
export const driftKinds = [
  "missing",
  "stopped",
  "unhealthy",
  "changed",
  "unexpected",
] as const;

/** One object that is not as applied. */
export interface Difference {
  readonly type: "network" | "container";
  readonly name: string;
  /** What was seen, in words for an operator; empty when there is nothing to add. */
  readonly detail: string;
}

/** Docker against what was applied; every list is sorted by name. */
export type Drift =
  & { readonly state: "consistent" | "drifted" }
  & { readonly [kind in (typeof driftKinds)[number]]: readonly Difference[] };

/** Compares what exists with the plan, or with nothing when the host is idle. */
export function findDrift(plan: Plan | null, inventory: Inventory): Drift {
  const found: { [kind in (typeof driftKinds)[number]]: Difference[] } = {
    missing: [],
    stopped: [],
    unhealthy: [],
    changed: [],
    unexpected: [],
  };
  const networks = Map.groupBy(inventory.networks, ({ name }) => name);
  for (const planned of plan?.networks ?? []) {
    // Docker lets several networks have one name; the first is the one that containers get.
    const [first, ...others] = networks.get(planned.name) ?? [];
    const difference = compareNetwork(planned, first);
    if (difference) found[difference.kind].push({ type: "network", ...difference.seen });
    networks.set(planned.name, others);
  }
  const containers = new Map(inventory.containers.map((container) => [container.name, container]));
  const unplanned = new Set(containers.keys());
  for (const planned of plan?.containers ?? []) {
    const base = planned.base === null ? undefined : containers.get(planned.base);
    const difference = compareContainer(planned, containers.get(planned.name), base);
    if (difference) found[difference.kind].push({ type: "container", ...difference.seen });
    unplanned.delete(planned.name);
  }
  for (const network of [...networks.values()].flat()) {
    found.unexpected.push({ type: "network", name: network.name, detail: origin(network) });
  }
  for (const name of unplanned) {
    const container = containers.get(name)!;
    const detail = [container.state, origin(container)].filter((part) => part !== "").join(", ");
    found.unexpected.push({ type: "container", name, detail });
  }
  for (const kind of driftKinds) {
    found[kind].sort((a, b) => compareCodePoints(a.name, b.name));
  }
  const consistent = driftKinds.every((kind) => found[kind].length === 0);
  return { state: consistent ? "consistent" : "drifted", ...found };
}

interface Finding {
  readonly kind: (typeof driftKinds)[number];
  readonly seen: { readonly name: string; readonly detail: string };
}

function compareNetwork(
  planned: PlannedNetwork,
  fact: NetworkFact | undefined,
): Finding | null {
  const finding = (kind: Finding["kind"], detail: string) => ({
    kind,
    seen: { name: planned.name, detail },
  });
  if (!fact) return finding("missing", "");
  if (fact.driver !== "bridge") {
    return finding("changed", `driver ${fact.driver}, not bridge`);
  }
  if (fact.subnets.length !== 1 || fact.subnets[0] !== planned.subnet) {
    return finding(
      "changed",
      `subnet ${fact.subnets.join(" ") || "none"}, not ${planned.subnet}`,
    );
  }
  if (fact.internal !== planned.internal) {
    return finding("changed", planned.internal ? "not internal" : "internal");
  }
  return null;
}

function compareContainer(
  planned: PlannedContainer,
  fact: ContainerFact | undefined,
  base: ContainerFact | undefined,
): Finding | null {
  const finding = (kind: Finding["kind"], detail: string) => ({
    kind,
    seen: { name: planned.name, detail },
  });
  if (!fact) return finding("missing", "");
  if (!isRunning(fact)) return finding("stopped", fact.state);
  if (fact.state !== "running") return finding("unhealthy", fact.state);
  const change = planned.base === null ? addressChange(planned, fact) : baseChange(fact, base);
  if (change) return finding("changed", change);
  return fact.unhealthy ? finding("unhealthy", "health check failing") : null;
}

function addressChange(
  planned: PlannedContainer,
  fact: ContainerFact,
): string | null {
  for (const [network, address] of planned.addressByNetwork) {
    const actual = fact.addressByNetwork.get(network);
    if (actual === undefined) return `not attached to ${network}`;
    if (actual !== address) {
      return `address ${actual || "none"} on ${network}, not ${address}`;
    }
  }
  for (const network of fact.addressByNetwork.keys()) {
    if (!planned.addressByNetwork.has(network)) return `attached to ${network}`;
  }
  return null;
}

function baseChange(
  fact: ContainerFact,
  base: ContainerFact | undefined,
): string | null {
  // A base that is absent is reported itself, as missing; Podman's list does not tell the mode.
  if (!base || fact.networkMode === "") return null;
  if (fact.networkMode === `container:${base.id}`) return null;
  if (fact.networkMode === `container:${base.name}`) return null;
  return `does not share the network of ${base.name}`;
}

function origin({ labels }: NetworkFact | ContainerFact): string {
  const id = labels.get(topologyLabel);
  return id === undefined ? "" : `of topology ${id}`;
}
