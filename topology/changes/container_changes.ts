import { containerChange, isLeftBehind, origin } from "../compare.ts";
import {
  type ContainerFact,
  imageLabel,
  isRunning,
  specLabel,
  topologyLabel,
} from "../inventory.ts";
import { isOurContainer } from "./ownership.ts";
import type { Plan, PlannedContainer } from "../plan.ts";

/** A container that is to be created, and why. */
export interface ContainerCreation {
  readonly action: "create";
  readonly planned: PlannedContainer;
  readonly reason: string;
}

/** A container that is to go. */
export interface ContainerRemoval {
  readonly action: "remove";
  readonly fact: ContainerFact;
  readonly reason: string;
}

/** A container that needs no more than a word to be right. */
export interface ContainerRepair {
  readonly action: "start" | "restart" | "unpause";
  readonly planned: PlannedContainer;
  readonly fact: ContainerFact;
  readonly reason: string;
}

/** What is done to one container. */
export type ContainerChange = ContainerCreation | ContainerRemoval | ContainerRepair;

/** What container changes depend on besides the containers. */
interface Context {
  /** Names of the networks that will be created. */
  readonly newNetworks: ReadonlySet<string>;
  /** Image name → its id, or null when it is absent. */
  readonly imageIds: ReadonlyMap<string, string | null>;
}

type Decision = Pick<ContainerCreation | ContainerRepair, "action" | "reason">;

/** What is to be done to containers, and what stands in the way. */
export function findContainerChanges(
  { topologyId: id, containers: planned }: Plan,
  facts: readonly ContainerFact[],
  context: Context,
): { changes: ContainerChange[]; obstacles: string[] } {
  const changes: ContainerChange[] = [];
  const obstacles: string[] = [];
  const byName = new Map(facts.map((fact) => [fact.name, fact]));
  const unplanned = new Map(byName);
  const decisions = new Map<string, Decision | null>();
  // A base that restarts again and again is left alone, unless a service must join its network.
  const neededBases = new Set(planned.flatMap((service) => {
    const base = byName.get(service.base ?? "");
    if (base?.state !== "restarting") return [];
    const fact = byName.get(service.name);
    const isRight = fact && !decide(service, fact, { ...context, base, ofBase: null });
    return isRight ? [] : [base.name];
  }));
  for (const container of planned) {
    const fact = byName.get(container.name);
    const base = container.base === null ? undefined : byName.get(container.base);
    unplanned.delete(container.name);
    if (fact && !isOurContainer(container, fact, { base, id })) {
      obstacles.push(notOurs(fact));
      continue;
    }
    const ofBase = container.base === null ? null : decisions.get(container.base) ?? null;
    const decision = fact
      ? decide(container, fact, {
        base,
        ofBase,
        isNeeded: neededBases.has(container.name),
        ...context,
      })
      : { action: "create", reason: "missing" } as const;
    decisions.set(container.name, decision);
    if (!decision) continue;
    const { action, reason } = decision;
    if (action === "create") {
      if (fact) changes.push({ action: "remove", fact, reason });
      changes.push({ action, planned: container, reason });
    } else changes.push({ action, planned: container, fact: fact!, reason });
  }
  for (const fact of unplanned.values()) {
    if (fact.labels.get(topologyLabel) !== id) continue;
    changes.push({ action: "remove", fact, reason: "no longer wanted" });
  }
  return { changes, obstacles };
}

/** What to do with a container that exists; null when it is right. */
function decide(
  planned: PlannedContainer,
  fact: ContainerFact,
  context: Context & {
    base: ContainerFact | undefined;
    ofBase: Decision | null;
    isNeeded?: boolean;
  },
): Decision | null {
  const { base, ofBase, newNetworks, imageIds } = context;
  const newNetwork = planned.addressByNetwork.keys().find((name) => newNetworks.has(name));
  const image = fact.labels.get(imageLabel);
  const imageNow = imageIds.get(planned.request.Image) ?? null;
  const create = (reason: string): Decision => ({ action: "create", reason });
  if (ofBase?.action === "create") return create("its base is made anew");
  if (newNetwork !== undefined) return create(`network ${newNetwork} is made anew`);
  const change = containerChange(planned, fact, base);
  if (change !== null) return create(change);
  if (!fact.labels.has(specLabel)) return create("made by another program");
  if (image !== undefined && imageNow !== null && image !== imageNow) {
    return create(`image ${planned.request.Image} is a newer one`);
  }
  if (fact.state === "restarting" && context.isNeeded) {
    return create("it does not stay up, and a service needs it");
  }
  if (fact.state === "exited") return { action: "start", reason: "stopped" };
  // Not removed: an agent that was killed may have asked for its start, which the engine is about.
  if (fact.state === "created") return { action: "start", reason: "never started" };
  if (!isRunning(fact)) return create(fact.state);
  if (ofBase?.action === "start" || (planned.base !== null && isLeftBehind(fact, base))) {
    const reason = "its base is started anew";
    return fact.state === "running" ? { action: "restart", reason } : create(reason);
  }
  return fact.state === "paused" ? { action: "unpause", reason: "paused" } : null;
}

function notOurs(fact: ContainerFact): string {
  const what = origin(fact) || "without our label";
  return `container ${fact.name} exists and is not of this topology (${what})`;
}
