import { compareContainer, compareNetwork, origin } from "./compare.ts";
import { type Inventory, isRunning, type NetworkFact, topologyLabel } from "./inventory.ts";
import { compareCodePoints } from "./json.ts";
import type { Plan, PlannedNetwork } from "./plan.ts";

/** The ways in which Docker can differ from what was applied. */
export const driftKinds = ["missing", "stopped", "unhealthy", "changed", "unexpected"] as const;

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

const emptyPlan: Plan = { topologyId: "", networks: [], containers: [] };

/** Compares what exists with the plan, or with nothing when the host is idle. */
export function findDrift(plan: Plan | null, inventory: Inventory): Drift {
  const found = {
    missing: [] as Difference[],
    stopped: [] as Difference[],
    unhealthy: [] as Difference[],
    changed: [] as Difference[],
    unexpected: [] as Difference[],
  };
  const { topologyId: id, ...planned } = plan ?? emptyPlan;

  // Docker lists networks in another order each time.
  const inOrder = inventory.networks.toSorted((a, b) => compareCodePoints(a.id, b.id));
  const networks = Map.groupBy(inOrder, ({ name }) => name);
  for (const network of planned.networks) {
    const namesakes = networks.get(network.name) ?? [];
    const meant = likeliest(network, namesakes, id);
    const deviation = compareNetwork(network, meant, id);
    if (deviation) {
      const { kind, detail } = deviation;
      found[kind].push({ type: "network", name: network.name, detail });
    }
    networks.set(network.name, namesakes.filter((it) => it !== meant));
  }
  for (const network of [...networks.values()].flat()) {
    found.unexpected.push({ type: "network", name: network.name, detail: origin(network, id) });
  }

  const containers = new Map(inventory.containers.map((container) => [container.name, container]));
  const unplanned = new Map(containers);
  for (const container of planned.containers) {
    const base = container.base === null ? undefined : containers.get(container.base);
    const deviation = compareContainer(container, containers.get(container.name), { base, id });
    if (deviation) {
      const { kind, detail } = deviation;
      found[kind].push({ type: "container", name: container.name, detail });
    }
    unplanned.delete(container.name);
  }
  for (const [name, container] of unplanned) {
    // An idle host may keep what stands still, such as the remains of the first agent.
    if (!plan && !isRunning(container)) continue;
    const detail = [container.state, origin(container, id)].filter((part) => part !== "").join(
      ", ",
    );
    found.unexpected.push({ type: "container", name, detail });
  }

  for (const kind of driftKinds) found[kind].sort((a, b) => compareCodePoints(a.name, b.name));
  const isConsistent = driftKinds.every((kind) => found[kind].length === 0);
  return { state: isConsistent ? "consistent" : "drifted", ...found };
}

/** Docker lets several networks have one name: the one that was planned is not to be told as another. */
function likeliest(
  planned: PlannedNetwork,
  namesakes: readonly NetworkFact[],
  id: string,
): NetworkFact | undefined {
  return namesakes.find((it) => compareNetwork(planned, it, id) === null) ??
    namesakes.find(({ labels }) => labels.get(topologyLabel) === id) ?? namesakes[0];
}
