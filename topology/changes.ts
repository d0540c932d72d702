import { overlaps, rangeOf, type ReservedRange } from "./address.ts";
import {
  containerChange,
  isLeftBehind,
  isOurContainer,
  isOurNetwork,
  networkChange,
} from "./drift.ts";
import {
  type Claim,
  containerClaim,
  type ContainerInfo,
  describeClaim,
  imageLabel,
  type Inventory,
  isRunning,
  networkClaim,
  type NetworkInfo,
  specLabel,
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

/** A container that one call corrects. */
export interface ContainerRepair {
  readonly action: "start" | "restart" | "unpause";
  readonly planned: PlannedContainer;
  readonly actual: ContainerInfo;
  readonly reason: string;
}

/** What is done to one container, and why. */
export type ContainerChange = ContainerCreation | Removal<ContainerInfo> | ContainerRepair;

/** The smallest set of changes that makes Docker match a plan; recreating is a removal and a creation. */
export interface Changes {
  readonly networks: readonly NetworkChange[];
  readonly containers: readonly ContainerChange[];
  /** Reasons, as text, why the changes must not be made. */
  readonly obstacles: readonly string[];
}

type Action = (NetworkChange | ContainerChange)["action"];

/** Returns the objects that changes remove; some of them are then created again. */
export function removedBy<Info>(
  changes: readonly (Removal<Info> | { readonly action: Exclude<Action, "remove"> })[],
): Info[] {
  return changes.flatMap((it) => it.action === "remove" ? [it.actual] : []);
}

/** Returns the planned objects that changes create. */
export function createdBy<Planned>(
  changes: readonly (Creation<Planned> | { readonly action: Exclude<Action, "create"> })[],
): Planned[] {
  return changes.flatMap((it) => it.action === "create" ? [it.planned] : []);
}

/** Image name → its id, or null when the host does not have it; for each image of a plan. */
export type ImageIds = ReadonlyMap<string, string | null>;

/** Finds the changes that make the engine's objects match a plan. */
export function findChanges(plan: Plan, inventory: Inventory, imageIds: ImageIds): Changes {
  const networks = findNetworkChanges(plan, inventory.networks);
  const newNetworks = new Set(createdBy(networks.changes).map(({ name }) => name));
  const containers = findContainerChanges(plan, inventory.containers, { newNetworks, imageIds });
  const changes = { networks: networks.changes, containers: containers.changes };
  return {
    ...changes,
    obstacles: [
      ...networks.obstacles,
      ...containers.obstacles,
      ...findForeignGuests(changes, inventory),
      ...findMissingImages(containers.changes, imageIds),
    ],
  };
}

/** Finds what a teardown removes: all that is the topology's; by labels only without its plan. */
export function findRemovals(
  { topologyId: id, plan }: { topologyId: string; plan: Plan | null },
  inventory: Inventory,
): Changes {
  const plannedNetworks = new Map(plan?.networks.map((it) => [it.name, it]));
  const plannedContainers = new Map(plan?.containers.map((it) => [it.name, it]));
  const containerByName = new Map(inventory.containers.map((it) => [it.name, it]));
  const networks = inventory.networks.filter((actual) =>
    isOurNetwork(plannedNetworks.get(actual.name), actual, id)
  );
  const containers = inventory.containers.filter((actual) => {
    const planned = plannedContainers.get(actual.name);
    const base = containerByName.get(planned?.base ?? "");
    return isOurContainer(planned, actual, { base, id });
  });
  const changes = {
    networks: networks.sort((a, b) => compareCodePoints(b.name, a.name)).map((it) =>
      remove(it, "teardown")
    ),
    containers: containers.map((it) => remove(it, "teardown")),
  };
  return { ...changes, obstacles: findForeignGuests(changes, inventory) };
}

function remove<Info>(actual: Info, reason: string): Removal<Info> {
  return { action: "remove", actual, reason };
}

interface Found<Change> {
  readonly changes: readonly Change[];
  readonly obstacles: readonly string[];
}

/** Finds the changes to networks, removals first, and obstacles. */
function findNetworkChanges(
  { topologyId: id, networks: planned }: Plan,
  existing: readonly NetworkInfo[],
): Found<NetworkChange> {
  const removals: Removal<NetworkInfo>[] = [];
  const creations: Creation<PlannedNetwork>[] = [];
  const obstacles: string[] = [];
  const unplanned = Map.groupBy(existing, ({ name }) => name);
  for (const network of planned) {
    const namesakes = unplanned.get(network.name) ?? [];
    unplanned.delete(network.name);
    const ours = namesakes.filter((actual) => isOurNetwork(network, actual, id));
    for (const actual of namesakes.filter((it) => !ours.includes(it))) {
      const details = [`driver ${actual.driver}`, actual.subnets.join(" ")];
      const claim = networkClaim(actual, id);
      const advice = "remove it";
      obstacles.push(describeForeign(actual, "network", { claim, details, advice }));
    }
    const reason = reasonToCreate(network, ours);
    if (reason === null) continue;
    removals.push(...ours.map((actual) => remove(actual, reason)));
    creations.push({ action: "create", planned: network, reason });
  }
  for (const actual of [...unplanned.values()].flat()) {
    if (networkClaim(actual, id) === "own") removals.push(remove(actual, "not in the topology"));
  }
  return { changes: [...removals, ...creations], obstacles };
}

function reasonToCreate(planned: PlannedNetwork, [first, ...others]: NetworkInfo[]): string | null {
  if (!first) return "missing";
  // Keeps none: the engine does not show to which of them a container is attached.
  return others.length > 0 ? "several networks with this name" : networkChange(planned, first);
}

/** Describes an object that has a planned name, and is not the topology's to change. */
function describeForeign(
  actual: NetworkInfo | ContainerInfo,
  what: string,
  { claim, details, advice }: { claim: Claim; details: readonly string[]; advice: string },
): string {
  const shown = [...details, describeClaim(claim, actual)].filter((it) => it !== "").join(", ");
  return `${what} ${actual.name} exists and does not belong to this topology ` +
    `(${shown || "without our label"}): ${claim === "other" ? "tear that one down" : advice}`;
}

type Decision = Pick<ContainerCreation | ContainerRepair, "action" | "reason">;

interface DecisionContext {
  readonly byName: ReadonlyMap<string, ContainerInfo>;
  /** Names of the networks that will be created. */
  readonly newNetworks: ReadonlySet<string>;
  readonly imageIds: ImageIds;
  /** Names of the bases in a restart loop whose network a service must join. */
  readonly neededBases: ReadonlySet<string>;
  /** Name of a container that was decided on → what happens to it; null: nothing. */
  readonly decisions: ReadonlyMap<string, Decision | null>;
}

function findContainerChanges(
  { topologyId: id, containers: planned }: Plan,
  existing: readonly ContainerInfo[],
  { newNetworks, imageIds }: Pick<DecisionContext, "newNetworks" | "imageIds">,
): Found<ContainerChange> {
  const changes: ContainerChange[] = [];
  const obstacles: string[] = [];
  const byName = new Map(existing.map((actual) => [actual.name, actual]));
  const unplanned = new Map(byName);
  const [neededBases, decisions] = [new Set<string>(), new Map<string, Decision | null>()];
  const context = { byName, newNetworks, imageIds, neededBases, decisions };
  for (const service of planned) {
    const base = byName.get(service.base ?? "");
    if (base?.state === "restarting" && decide(service, context)) neededBases.add(base.name);
  }
  for (const container of planned) {
    const { name } = container;
    const [actual, base] = [byName.get(name), byName.get(container.base ?? "")];
    unplanned.delete(name);
    const imageId = imageIds.get(container.request.Image) ?? null;
    if (actual && !isOurContainer(container, actual, { base, id, imageId })) {
      const claim = containerClaim(actual, id);
      const advice = "remove or rename it";
      obstacles.push(describeForeign(actual, "container", { claim, details: [], advice }));
      continue;
    }
    const decision = decide(container, context);
    decisions.set(name, decision);
    if (!decision) continue;
    const { action, reason } = decision;
    if (action === "create" && actual) changes.push(remove(actual, reason));
    if (action === "create") changes.push({ action, planned: container, reason });
    else changes.push({ action, planned: container, actual: actual!, reason });
  }
  for (const actual of unplanned.values()) {
    if (containerClaim(actual, id) === "own") changes.push(remove(actual, "not in the topology"));
  }
  return { changes, obstacles };
}

/** Decides what to do with a planned container; null when there is one that is correct. */
function decide(planned: PlannedContainer, context: DecisionContext): Decision | null {
  const actual = context.byName.get(planned.name);
  if (!actual) return { action: "create", reason: "missing" };
  const reason = reasonToRecreate(planned, actual, context);
  if (reason !== null) return { action: "create", reason };
  if (actual.state === "exited") return { action: "start", reason: "stopped" };
  // Not removed: the engine may be starting it, as requested by an agent that was killed.
  if (actual.state === "created") return { action: "start", reason: "never started" };
  if (!isRunning(actual)) return { action: "create", reason: actual.state };
  const base = context.byName.get(planned.base ?? "");
  const isBaseStarted = context.decisions.get(planned.base ?? "")?.action === "start";
  if (isBaseStarted || (planned.base !== null && isLeftBehind(actual, base))) {
    const action = actual.state === "running" ? "restart" : "create";
    return { action, reason: "its base is started again" };
  }
  return actual.state === "paused" ? { action: "unpause", reason: "paused" } : null;
}

/** Returns why a container must be recreated; null when starting it is enough. */
function reasonToRecreate(
  planned: PlannedContainer,
  actual: ContainerInfo,
  { byName, newNetworks, imageIds, neededBases, decisions }: DecisionContext,
): string | null {
  if (decisions.get(planned.base ?? "")?.action === "create") return "its base is recreated";
  const newNetwork = planned.addressByNetwork.keys().find((name) => newNetworks.has(name));
  if (newNetwork !== undefined) return `network ${newNetwork} is recreated`;
  const change = containerChange(planned, actual, byName.get(planned.base ?? ""));
  if (change !== null) return change;
  if (!actual.labels.has(specLabel)) return "made by another program";
  const usedImage = actual.labels.get(imageLabel);
  const imageId = imageIds.get(planned.request.Image) ?? null;
  if (usedImage !== undefined && imageId !== null && usedImage !== imageId) {
    return `image ${planned.request.Image} is a newer one`;
  }
  const isUseless = actual.state === "restarting" && neededBases.has(planned.name);
  return isUseless ? "it does not stay up, and a service needs it" : null;
}

function describeGuest({ name }: ContainerInfo, what: string): string {
  return `container ${name}, which does not belong to this topology, ${what}: stop or remove it`;
}

/** Describes a foreign container that shares the network of the container `host`. */
export function describeSharing(guest: ContainerInfo, host: string): string {
  return describeGuest(guest, `shares the network of container ${host}`);
}

/** Finds running foreign containers that changes would harm, or whose address they need. */
function findForeignGuests(
  { networks, containers }: Pick<Changes, "networks" | "containers">,
  inventory: Inventory,
): string[] {
  const removed = new Set(removedBy(containers));
  const guests = inventory.containers.filter((it) => isRunning(it) && !removed.has(it));
  const onNetworks = removedBy(networks).flatMap(({ name }) =>
    guests.filter(({ addressByNetwork }) => addressByNetwork.has(name))
      .map((guest) => describeGuest(guest, `uses network ${name}`))
  );
  const hosts = new Map<string, string>(
    [...removed].flatMap(({ id, name }) => [id, name].map((it) => [`container:${it}`, name])),
  );
  const inContainers = guests.filter(({ networkMode }) => hosts.has(networkMode))
    .map((guest) => describeSharing(guest, hosts.get(guest.networkMode)!));
  const created = createdBy(containers);
  const needed = new Set(created.flatMap((it) => [...it.addressByNetwork].map(String)));
  const atAddresses = guests.flatMap((guest) =>
    [...guest.addressByNetwork].filter((it) => needed.has(String(it)))
      .map(([network, address]) => describeGuest(guest, `has the address ${address} on ${network}`))
  );
  return [...onNetworks, ...inContainers, ...atAddresses];
}

function findMissingImages(changes: readonly ContainerChange[], imageIds: ImageIds): string[] {
  const names = new Set(createdBy(changes).map(({ request }) => request.Image));
  const missing = [...names].filter((name) => (imageIds.get(name) ?? null) === null);
  return missing.length === 0
    ? []
    : [`missing images: ${missing.join(", ")} (docker load -i FILE, or pull them)`];
}

/** Finds new networks whose subnet stays taken, which Docker would reject late and without its name. */
export function findTakenSubnets(
  changes: readonly NetworkChange[],
  existing: readonly NetworkInfo[],
  reserved: readonly ReservedRange[],
): string[] {
  const removed = removedBy(changes);
  // What a network of another driver than bridge holds is outside, and stays there without it.
  const staying = existing.filter((it) => it.driver !== "bridge" || !removed.includes(it));
  const taken: (ReservedRange & { network?: string })[] = [
    ...staying.flatMap(({ name: network, subnets }) =>
      subnets.map((text) => {
        const conflict = `is taken by network ${network} (${text})`;
        return { network, range: rangeOf(text), conflict };
      })
    ),
    ...reserved,
  ];
  return createdBy(changes).flatMap(({ name, subnet }) => {
    const wanted = rangeOf(subnet);
    const other = taken.find(({ network, range }) => network !== name && overlaps(range, wanted));
    if (!other) return [];
    const removal = other.network === undefined ? "" : "remove it, or ";
    return [`subnet ${subnet} of ${name} ${other.conflict}: ${removal}choose another subnet`];
  });
}
