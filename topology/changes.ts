import { contains, overlaps, rangeOf } from "./address.ts";
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

interface Creation<Planned> {
  readonly action: "create";
  readonly planned: Planned;
  readonly reason: string;
}

interface Removal<Info> {
  readonly action: "remove";
  readonly actual: Info;
  readonly reason: string;
}

/** What is done to one network, and why. */
export type NetworkChange = Creation<PlannedNetwork> | Removal<NetworkInfo>;

/** A container that is to be created, and why. */
export type ContainerCreation = Creation<PlannedContainer>;

/** A container that one call makes right. */
export interface ContainerRepair {
  readonly action: "start" | "restart" | "unpause";
  readonly planned: PlannedContainer;
  readonly actual: ContainerInfo;
  readonly reason: string;
}

/** What is done to one container, and why. */
export type ContainerChange = ContainerCreation | Removal<ContainerInfo> | ContainerRepair;

/** What makes Docker as planned, and nothing more; what is recreated is removed and created. */
export interface Changes {
  readonly networks: readonly NetworkChange[];
  readonly containers: readonly ContainerChange[];
  /** What stands in the way, in words: nothing may be changed while there is any. */
  readonly obstacles: readonly string[];
}

/** An address of one of this host's own interfaces. */
export interface HostAddress {
  readonly interface: string;
  /** A number of 32 bits. */
  readonly address: number;
}

/** What an apply depends on besides the engine's networks and containers. */
export interface HostConstraints {
  /** Image name → its id, or null when it is absent, for each image of the plan. */
  readonly imageIds: ReadonlyMap<string, string | null>;
  /** Addresses outside of Docker's networks, also of those that will be removed. */
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
      ...findForeignGuests(networks.changes, containers.changes, inventory),
      ...findMissingImages(containers.changes, imageIds),
    ],
  };
}

/** What is known about a topology that is to be removed. */
export interface TeardownTarget {
  readonly topologyId: string;
  /** Null where no document is known. */
  readonly plan: Plan | null;
  /** It was applied once, so that no foreign object had its names then. */
  readonly wasApplied: boolean;
}

/**
 * What a teardown removes: all that has the topology's label, and what has a planned name, no label,
 * and looks as planned. Where this agent made nothing, another program applied the topology without
 * labels: then a planned name is enough.
 */
export function findRemovals(
  { topologyId: id, plan, wasApplied }: TeardownTarget,
  inventory: Inventory,
): Changes {
  const plannedNetworks = new Map(plan?.networks.map((it) => [it.name, it]));
  const plannedContainers = new Map(plan?.containers.map((it) => [it.name, it]));
  const containerByName = new Map(inventory.containers.map((it) => [it.name, it]));
  const isMadeByUs = [...inventory.networks, ...inventory.containers]
    .some(({ labels }) => labels.get(topologyLabel) === id && labels.has(specLabel));
  const isNameEnough = wasApplied && !isMadeByUs;
  const removal = <Info>(actual: Info): Removal<Info> => remove(actual, "teardown");
  const networks = inventory.networks.filter((actual) => {
    const label = actual.labels.get(topologyLabel);
    const planned = plannedNetworks.get(actual.name);
    if (label !== undefined || !planned) return label === id;
    return isNameEnough || isOurNetwork(planned, actual, id);
  });
  const containers = inventory.containers.filter((actual) => {
    const label = actual.labels.get(topologyLabel);
    const planned = plannedContainers.get(actual.name);
    if (label !== undefined || !planned) return label === id;
    const base = containerByName.get(planned.base ?? "");
    return isNameEnough || isOurContainer(planned, actual, { base, id });
  });
  const changes = {
    networks: networks.sort((a, b) => compareCodePoints(b.name, a.name)).map(removal),
    containers: containers.map(removal),
  };
  return {
    ...changes,
    obstacles: findForeignGuests(changes.networks, changes.containers, inventory),
  };
}

function remove<Info>(actual: Info, reason: string): Removal<Info> {
  return { action: "remove", actual, reason };
}

interface Found<Change> {
  readonly changes: readonly Change[];
  readonly obstacles: readonly string[];
}

/** The changes to networks, the removals first, and what stands in their way. */
function findNetworkChanges(
  { topologyId: id, networks: planned }: Plan,
  existing: readonly NetworkInfo[],
  hostAddresses: readonly HostAddress[],
): Found<NetworkChange> {
  const removals: Removal<NetworkInfo>[] = [];
  const creations: Creation<PlannedNetwork>[] = [];
  const obstacles: string[] = [];
  const unplanned = Map.groupBy(existing, ({ name }) => name);
  for (const network of planned) {
    const namesakes = unplanned.get(network.name) ?? [];
    unplanned.delete(network.name);
    const ours = namesakes.filter((actual) => isOurNetwork(network, actual, id));
    obstacles.push(
      ...namesakes.filter((actual) => !ours.includes(actual)).map(describeForeignNetwork),
    );
    const reason = reasonToCreate(network, ours);
    if (reason === null) continue;
    removals.push(...ours.map((actual) => remove(actual, reason)));
    creations.push({ action: "create", planned: network, reason });
  }
  for (const actual of [...unplanned.values()].flat()) {
    if (actual.labels.get(topologyLabel) === id) removals.push(remove(actual, "no longer wanted"));
  }
  const removed = new Set(removals.map(({ actual }) => actual));
  const staying = existing.filter((actual) => !removed.has(actual));
  for (const { planned } of creations) {
    const obstacle = subnetTaken(planned, staying) ?? hostAddressIn(planned, hostAddresses);
    if (obstacle !== null) obstacles.push(obstacle);
  }
  return { changes: [...removals, ...creations], obstacles };
}

function reasonToCreate(planned: PlannedNetwork, [first, ...others]: NetworkInfo[]): string | null {
  if (!first) return "missing";
  // Nothing says which of them a container is attached to: none can be kept.
  return others.length > 0 ? "one of several of its name" : networkChange(planned, first);
}

function describeForeignNetwork(actual: NetworkInfo): string {
  const details = [`driver ${actual.driver}`, actual.subnets.join(" "), origin(actual)]
    .filter((part) => part !== "").join(", ");
  return `network ${actual.name} exists and is not of this topology (${details})`;
}

/** Docker refuses a subnet that is taken only after other changes, and does not say by what. */
function subnetTaken(
  { name, subnet }: PlannedNetwork,
  staying: readonly NetworkInfo[],
): string | null {
  const wanted = rangeOf(subnet);
  for (const other of staying) {
    if (other.name === name) continue;
    const taken = other.subnets.find((it) => overlaps(rangeOf(it), wanted));
    if (taken !== undefined) {
      return `subnet ${subnet} of ${name} is taken by network ${other.name} (${taken})`;
    }
  }
  return null;
}

/** Docker would accept such a subnet and cut this host off from its own neighbours. */
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

/** What container changes depend on besides the containers. */
interface ContainerConstraints {
  /** Names of the networks that will be created. */
  readonly newNetworks: ReadonlySet<string>;
  readonly imageIds: HostConstraints["imageIds"];
}

type Decision = Pick<ContainerCreation | ContainerRepair, "action" | "reason">;

/** The changes to containers, and what stands in their way. */
function findContainerChanges(
  { topologyId: id, containers: planned }: Plan,
  existing: readonly ContainerInfo[],
  constraints: ContainerConstraints,
): Found<ContainerChange> {
  const changes: ContainerChange[] = [];
  const obstacles: string[] = [];
  const byName = new Map(existing.map((actual) => [actual.name, actual]));
  const unplanned = new Map(byName);
  const neededBases = findNeededBases(planned, byName, constraints);
  const decisionByName = new Map<string, Decision | null>();
  for (const container of planned) {
    const { name } = container;
    const actual = byName.get(name);
    const base = byName.get(container.base ?? "");
    unplanned.delete(name);
    if (actual && !isOurContainer(container, actual, { base, id })) {
      const details = origin(actual) || "without our label";
      obstacles.push(`container ${name} exists and is not of this topology (${details})`);
      continue;
    }
    const baseDecision = decisionByName.get(container.base ?? "") ?? null;
    const isNeeded = neededBases.has(name);
    const decision: Decision | null = actual
      ? decide(container, actual, { base, baseDecision, isNeeded, ...constraints })
      : { action: "create", reason: "missing" };
    decisionByName.set(name, decision);
    if (!decision) continue;
    const { action, reason } = decision;
    if (action === "create" && actual) changes.push(remove(actual, reason));
    if (action === "create") changes.push({ action, planned: container, reason });
    else changes.push({ action, planned: container, actual: actual!, reason });
  }
  for (const actual of unplanned.values()) {
    if (actual.labels.get(topologyLabel) === id) changes.push(remove(actual, "no longer wanted"));
  }
  return { changes, obstacles };
}

/** The bases that restart again and again although a service must join their network. */
function findNeededBases(
  planned: readonly PlannedContainer[],
  byName: ReadonlyMap<string, ContainerInfo>,
  constraints: ContainerConstraints,
): ReadonlySet<string> {
  const needed = new Set<string>();
  for (const service of planned) {
    const base = byName.get(service.base ?? "");
    if (base?.state !== "restarting") continue;
    const actual = byName.get(service.name);
    const context = { base, baseDecision: null, isNeeded: false, ...constraints };
    if (!actual || decide(service, actual, context)) needed.add(base.name);
  }
  return needed;
}

interface DecisionContext extends ContainerConstraints {
  readonly base: ContainerInfo | undefined;
  /** What happens to the base; null when it stays as it is. */
  readonly baseDecision: Decision | null;
  /** For a base: a service must join its network. */
  readonly isNeeded: boolean;
}

/** What to do with a container that exists; null when it is right. */
function decide(
  planned: PlannedContainer,
  actual: ContainerInfo,
  context: DecisionContext,
): Decision | null {
  const { base, baseDecision } = context;
  const reason = reasonToRecreate(planned, actual, context);
  if (reason !== null) return { action: "create", reason };
  if (actual.state === "exited") return { action: "start", reason: "stopped" };
  // Not removed: an agent that was killed may have asked for its start, which the engine is about.
  if (actual.state === "created") return { action: "start", reason: "never started" };
  if (!isRunning(actual)) return { action: "create", reason: actual.state };
  if (baseDecision?.action === "start" || (planned.base !== null && isLeftBehind(actual, base))) {
    const action = actual.state === "running" ? "restart" : "create";
    return { action, reason: "its base is started again" };
  }
  return actual.state === "paused" ? { action: "unpause", reason: "paused" } : null;
}

/** Why starting a container is not enough; null when it is. */
function reasonToRecreate(
  planned: PlannedContainer,
  actual: ContainerInfo,
  { base, baseDecision, isNeeded, newNetworks, imageIds }: DecisionContext,
): string | null {
  if (baseDecision?.action === "create") return "its base is recreated";
  const newNetwork = planned.addressByNetwork.keys().find((name) => newNetworks.has(name));
  if (newNetwork !== undefined) return `network ${newNetwork} is recreated`;
  const change = containerChange(planned, actual, base);
  if (change !== null) return change;
  if (!actual.labels.has(specLabel)) return "made by another program";
  const usedImage = actual.labels.get(imageLabel);
  const imageId = imageIds.get(planned.request.Image) ?? null;
  if (usedImage !== undefined && imageId !== null && usedImage !== imageId) {
    return `image ${planned.request.Image} is a newer one`;
  }
  const isUseless = actual.state === "restarting" && isNeeded;
  return isUseless ? "it does not stay up, and a service needs it" : null;
}

/** The engine removes no network that a foreign container uses. */
function findForeignGuests(
  networks: readonly NetworkChange[],
  containers: readonly ContainerChange[],
  inventory: Inventory,
): string[] {
  const removed = new Set(containers.flatMap((it) => it.action === "remove" ? [it.actual] : []));
  const guests = inventory.containers.filter((it) => isRunning(it) && !removed.has(it));
  return networks.flatMap((change) => {
    if (change.action !== "remove") return [];
    const { name } = change.actual;
    return guests.filter(({ addressByNetwork }) => addressByNetwork.has(name)).map((guest) =>
      `container ${guest.name}, which is not of this topology, uses network ${name}`
    );
  });
}

function findMissingImages(
  changes: readonly ContainerChange[],
  imageIds: HostConstraints["imageIds"],
): string[] {
  const names = changes.flatMap((it) => it.action === "create" ? [it.planned.request.Image] : []);
  const missing = [...new Set(names)].filter((name) => (imageIds.get(name) ?? null) === null);
  return missing.length === 0 ? [] : [`images that are not on this host: ${missing.join(", ")}`];
}
