import { isOverlapping, parseCidr, type Subnet, subnetOf } from "./address.ts";
import {
  containerChange,
  isLeftBehind,
  isOurContainer,
  isOurNetwork,
  networkChange,
  origin,
} from "./drift.ts";
import {
  type ContainerInfo,
  imageLabel,
  type Inventory,
  isRunning,
  type NetworkInfo,
  specLabel,
  topologyLabel,
} from "./inventory.ts";
import { compareCodePoints } from "./json.ts";
import type { Plan, PlannedContainer, PlannedNetwork } from "./plan.ts";

/** What is done to one network, and why. */
export type NetworkChange =
  & { readonly reason: string }
  & (
    | { readonly action: "create"; readonly planned: PlannedNetwork }
    | { readonly action: "remove"; readonly fact: NetworkInfo }
  );

/** An address of one of this host's own interfaces. */
export interface HostAddress {
  readonly interface: string;
  /** 32 bits. */
  readonly address: number;
}

/** What is to be done to networks, the removals first, and what stands in the way. */
function findNetworkChanges(
  { topologyId: id, networks: planned }: Plan,
  facts: readonly NetworkInfo[],
  hostAddresses: readonly HostAddress[],
): { changes: NetworkChange[]; obstacles: string[] } {
  const removals: (NetworkChange & { action: "remove" })[] = [];
  const creations: (NetworkChange & { action: "create" })[] = [];
  const obstacles: string[] = [];
  const byName = Map.groupBy(facts, ({ name }) => name);
  for (const network of planned) {
    const namesakes = byName.get(network.name) ?? [];
    byName.delete(network.name);
    const ours = namesakes.filter((fact) => isOurNetwork(network, fact, id));
    obstacles.push(...namesakes.filter((fact) => !ours.includes(fact)).map(notOurs));
    const reason = reasonToMake(network, ours);
    if (reason === null) continue;
    removals.push(...ours.map((fact) => remove(fact, reason)));
    creations.push({ action: "create", planned: network, reason });
  }
  const unwanted = [...byName.values()].flat().filter(({ labels }) =>
    labels.get(topologyLabel) === id
  );
  removals.push(...unwanted.map((fact) => remove(fact, "no longer wanted")));
  const removed = new Set(removals.map(({ fact }) => fact));
  const staying = facts.filter((fact) => !removed.has(fact));
  for (const { planned } of creations) {
    const obstacle = subnetTaken(planned, staying) ?? hostAddressIn(planned, hostAddresses);
    if (obstacle !== null) obstacles.push(obstacle);
  }
  return { changes: [...removals, ...creations], obstacles };
}

function reasonToMake(planned: PlannedNetwork, [first, ...others]: NetworkInfo[]): string | null {
  if (!first) return "missing";
  // Which of them a container is attached to cannot be told: none of them can be kept.
  return others.length > 0 ? "one of several of its name" : networkChange(planned, first);
}

function remove(fact: NetworkInfo, reason: string) {
  return { action: "remove", fact, reason } as const;
}

function notOurs(fact: NetworkInfo): string {
  const what = [`driver ${fact.driver}`, fact.subnets.join(" "), origin(fact)];
  return `network ${fact.name} exists and is not of this topology (${
    what.filter((part) => part !== "").join(", ")
  })`;
}

/** Docker refuses a subnet that is taken after other changes, in words that do not tell by whom. */
function subnetTaken(
  { name, subnet }: PlannedNetwork,
  staying: readonly NetworkInfo[],
): string | null {
  const wanted = rangeOf(subnet);
  for (const other of staying) {
    if (other.name === name) continue;
    const taken = other.subnets.find((it) => isOverlap(rangeOf(it), wanted));
    if (taken !== undefined) {
      return `subnet ${subnet} of ${name} is taken by network ${other.name} (${taken})`;
    }
  }
  return null;
}

/** Docker would take such a subnet and cut this host off from its own neighbours. */
function hostAddressIn(
  { name, subnet }: PlannedNetwork,
  hostAddresses: readonly HostAddress[],
): string | null {
  const wanted = rangeOf(subnet);
  const own = hostAddresses.find(({ address }) => contains(wanted, address));
  if (!own) return null;
  return `subnet ${subnet} of ${name} holds an address of this host's interface ${own.interface}`;
}

/** The addresses without those that this host has in Docker's networks, on their bridges. */
export function addressesOutside(
  networks: readonly NetworkInfo[],
  hostAddresses: readonly HostAddress[],
): HostAddress[] {
  const ranges = networks.flatMap(({ subnets }) => subnets.map(rangeOf));
  return hostAddresses.filter(({ address }) => !ranges.some((it) => contains(it, address)));
}

/** Docker takes a subnet with bits set behind its prefix, too, and keeps it as written. */
function rangeOf(subnet: string): Subnet | null {
  const cidr = parseCidr(subnet);
  return cidr && subnetOf(cidr);
}

function isOverlap(a: Subnet | null, b: Subnet | null): boolean {
  return a !== null && b !== null && isOverlapping(a, b);
}

function contains(range: Subnet | null, address: number): boolean {
  return range !== null && range.first <= address && address <= range.last;
}

/** A container that is to be created, and why. */
export interface ContainerCreation {
  readonly action: "create";
  readonly planned: PlannedContainer;
  readonly reason: string;
}

/** A container that is to go. */
interface ContainerRemoval {
  readonly action: "remove";
  readonly fact: ContainerInfo;
  readonly reason: string;
}

/** A container that needs no more than a word to be right. */
export interface ContainerRepair {
  readonly action: "start" | "restart" | "unpause";
  readonly planned: PlannedContainer;
  readonly fact: ContainerInfo;
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
function findContainerChanges(
  { topologyId: id, containers: planned }: Plan,
  facts: readonly ContainerInfo[],
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
      obstacles.push(notOursContainerChanges(fact));
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
  fact: ContainerInfo,
  context: Context & {
    base: ContainerInfo | undefined;
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

function notOursContainerChanges(fact: ContainerInfo): string {
  const what = origin(fact) || "without our label";
  return `container ${fact.name} exists and is not of this topology (${what})`;
}

/** What is known of a topology that is to be torn down. */
export interface TeardownTarget {
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
  { topologyId: id, plan, wasApplied }: TeardownTarget,
  inventory: Inventory,
): Changes {
  const plannedNetworks = new Map(plan?.networks.map((it) => [it.name, it]));
  const plannedContainers = new Map(plan?.containers.map((it) => [it.name, it]));
  const byName = new Map(inventory.containers.map((it) => [it.name, it]));
  const isLabelled = ({ labels }: NetworkInfo | ContainerInfo) => labels.has(topologyLabel);
  const isMadeByUs = [...inventory.networks, ...inventory.containers].some(({ labels }) =>
    labels.get(topologyLabel) === id && labels.has(specLabel)
  );
  const isNameEnough = wasApplied && !isMadeByUs;
  const isNetworkOurs = (fact: NetworkInfo) => {
    const planned = plannedNetworks.get(fact.name);
    if (isLabelled(fact) || !planned) return fact.labels.get(topologyLabel) === id;
    return isNameEnough || isOurNetwork(planned, fact, id);
  };
  const isContainerOurs = (fact: ContainerInfo) => {
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

/** What makes Docker as planned, and nothing more; what is made anew is removed and created. */
export interface Changes {
  readonly networks: readonly NetworkChange[];
  readonly containers: readonly ContainerChange[];
  /** What stands in the way, in words: nothing may be changed while there is any. */
  readonly obstacles: readonly string[];
}

/** What an apply depends on besides the engine's networks and containers. */
export interface HostConstraints {
  /** Image name → its id, or null when it is absent, for each image of the plan. */
  readonly imageIds: ReadonlyMap<string, string | null>;
  /** Outside Docker's networks, also of those that will have gone by then. */
  readonly hostAddresses: readonly HostAddress[];
}

/** Compares a plan with all that exists in the engine. */
export function findChanges(
  plan: Plan,
  inventory: Inventory,
  { imageIds, hostAddresses }: HostConstraints,
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
function foreignGuests(
  networks: readonly NetworkChange[],
  containers: readonly ContainerChange[],
  inventory: Inventory,
): string[] {
  const removed = new Set<ContainerInfo>(
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
  imageIds: HostConstraints["imageIds"],
): string[] {
  const names = changes.flatMap((it) => it.action === "create" ? [it.planned.request.Image] : []);
  const missing = [...new Set(names)].filter((name) => (imageIds.get(name) ?? null) === null);
  return missing.length === 0 ? [] : [`images that are not on this host: ${missing.join(", ")}`];
}
