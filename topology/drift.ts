import {
  type Claim,
  containerClaim,
  type ContainerInfo,
  describeClaim,
  type Inventory,
  isRunning,
  networkClaim,
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

/** Compares what exists with the plan, or with nothing when the host is idle. */
export function findDrift(plan: Plan | null, inventory: Inventory): Drift {
  const planned = plan ?? { topologyId: "", networks: [], containers: [] };
  const { topologyId: id } = planned;
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
    const detail = describeClaim(networkClaim(network, id), network);
    add("network", network.name, { kind: "unexpected", detail });
  }

  const containers = new Map(inventory.containers.map((container) => [container.name, container]));
  for (const container of planned.containers) {
    const base = containers.get(container.base ?? "");
    const actual = containers.get(container.name);
    add("container", container.name, compareContainer(container, actual, { base, id }));
  }
  for (const { name } of planned.containers) containers.delete(name);
  for (const [name, container] of containers) {
    // Accepts stopped containers on an idle host, such as those of an older agent.
    if (!plan && !isRunning(container)) continue;
    const owner = describeClaim(containerClaim(container, id), container);
    const detail = [container.state, owner].filter((part) => part !== "");
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
    namesakes.find((it) => networkClaim(it, id) === "own") ?? namesakes[0];
}

interface ObjectDifference {
  readonly kind: (typeof driftKinds)[number];
  readonly detail: string;
}

function compareNetwork(
  planned: PlannedNetwork,
  actual: NetworkInfo | undefined,
  id: string,
): ObjectDifference | null {
  if (!actual) return { kind: "missing", detail: "" };
  const claim = networkClaim(actual, id);
  const change = isForeign(claim) ? describeClaim(claim, actual) : networkChange(planned, actual);
  return change === null ? null : changed(change);
}

function compareContainer(
  planned: PlannedContainer,
  actual: ContainerInfo | undefined,
  { base, id }: { base: ContainerInfo | undefined; id: string },
): ObjectDifference | null {
  if (!actual) return { kind: "missing", detail: "" };
  if (!isRunning(actual)) return { kind: "stopped", detail: actual.state };
  if (actual.state !== "running") return { kind: "unhealthy", detail: actual.state };
  const claim = claimAs(planned, actual, id);
  const change = isForeign(claim)
    ? describeClaim(claim, actual)
    : containerChange(planned, actual, base) ??
      (isLeftBehind(actual, base)
        ? `runs longer than ${base!.name}, whose network it shared`
        : null);
  if (change !== null) return changed(change);
  return actual.unhealthy ? { kind: "unhealthy", detail: "health check failing" } : null;
}

/** Reads whose a container is; its image label may be one behind, if the tag moved while it was made. */
function claimAs(planned: PlannedContainer | undefined, actual: ContainerInfo, id: string): Claim {
  const claim = containerClaim(actual, id);
  const isLate = claim === "inherited" && actual.labels.get(topologyLabel) === id &&
    planned !== undefined && hasPlannedImage(planned, actual);
  return isLate ? "own" : claim;
}

/** Whether labels deny that an object is this topology's; without any, another program made it. */
function isForeign(claim: Claim): boolean {
  return claim !== "own" && claim !== "none";
}

/** Describes how a network differs from the plan; null when it does not. */
export function networkChange(planned: PlannedNetwork, actual: NetworkInfo): string | null {
  if (actual.driver !== "bridge") return `driver ${actual.driver}, not bridge`;
  const change = subnetChange(planned, actual);
  if (change !== null) return change;
  if (actual.internal !== planned.internal) return planned.internal ? "not internal" : "internal";
  return specChange(planned, actual);
}

/** Compares IPv4 subnets only: engines can give each network an IPv6 one by default. */
function subnetChange({ subnet }: PlannedNetwork, { subnets }: NetworkInfo): string | null {
  const [first, ...more] = subnets.filter((it) => !it.includes(":"));
  if (first === subnet && more.length === 0) return null;
  return `subnet ${subnets.join(" ") || "none"}, not ${subnet}`;
}

/** Describes how a container, running or not, differs from the plan; null when it does not. */
export function containerChange(
  planned: PlannedContainer,
  actual: ContainerInfo,
  base: ContainerInfo | undefined,
): string | null {
  const change = planned.base === null ? addressChange(planned, actual) : baseChange(actual, base);
  return change ?? specChange(planned, actual) ?? imageChange(planned, actual);
}

/** Whether a service runs longer than its base, and so in its old network; false if unclear. */
export function isLeftBehind({ uptime }: ContainerInfo, base: ContainerInfo | undefined): boolean {
  return uptime !== null && base !== undefined && base.uptime !== null && !isUptimeUnclear(base) &&
    uptime.atLeast > base.uptime.atMost;
}

/** The engine says "Less than a second" of all that was started later than now, by a clock set back. */
function isUptimeUnclear({ uptime }: ContainerInfo): boolean {
  return uptime !== null && uptime.atMost <= 1;
}

/** Whether it takes a second look, seconds later, to see if a service must be restarted. */
export function needsSecondLook({ containers }: Plan, inventory: Inventory): boolean {
  const byName = new Map(inventory.containers.map((it) => [it.name, it]));
  return containers.some((planned) => {
    const [actual, base] = [byName.get(planned.name), byName.get(planned.base ?? "")];
    return actual?.uptime && base?.uptime && isUptimeUnclear(base) &&
      actual.uptime.atLeast > base.uptime.atMost && containerChange(planned, actual, base) === null;
  });
}

/** Compares digests, to find differences that the engine's lists do not show. */
function specChange(
  { request }: PlannedNetwork | PlannedContainer,
  { labels }: NetworkInfo | ContainerInfo,
): string | null {
  const spec = labels.get(specLabel);
  return spec === undefined || spec === request.Labels[specLabel] ? null : otherSpecification;
}

const otherSpecification = "made from another specification";

/** After a change of the configuration or the services file, only an apply makes it so. */
function changed(change: string): ObjectDifference {
  const advice = change === otherSpecification ? "; apply --stored makes it as configured" : "";
  return { kind: "changed", detail: change + advice };
}

/** Compares images where no digest does. */
function imageChange(planned: PlannedContainer, actual: ContainerInfo): string | null {
  const { labels, image } = actual;
  if (labels.has(topologyLabel) || labels.has(specLabel)) return null;
  return hasPlannedImage(planned, actual) ? null : `image ${image}, not ${planned.request.Image}`;
}

/** Compares image names: the engine lists an id instead once the tag means another image. */
function hasPlannedImage({ request }: PlannedContainer, { image }: ContainerInfo): boolean {
  return imageName(image) === imageName(request.Image);
}

/** Shortens a name as Podman lists it, and adds the tag that a name without one means. */
function imageName(name: string): string {
  const short = name.replace(/^(?:docker\.io\/(?:library\/)?|localhost\/)/, "");
  return /[:@][^/]*$/.test(short) ? short : `${short}:latest`;
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
 * Whether a network may be changed and removed: its label says so; or it has no label of ours, but the
 * planned name, driver and subnet, so that another program made it for the same topology.
 */
export function isOurNetwork(
  planned: PlannedNetwork | undefined,
  actual: NetworkInfo,
  id: string,
): boolean {
  const claim = networkClaim(actual, id);
  if (claim !== "none" || !planned || actual.labels.has(specLabel)) return claim === "own";
  return actual.driver === "bridge" && subnetChange(planned, actual) === null;
}

/** Like `isOurNetwork()`, for a container: without a label, network and image must be as planned. */
export function isOurContainer(
  planned: PlannedContainer | undefined,
  actual: ContainerInfo,
  { base, id, imageId }: {
    base: ContainerInfo | undefined;
    id: string;
    /** The id of the planned image, where it is known. */
    imageId?: string | null;
  },
): boolean {
  const claim = claimAs(planned, actual, id);
  if (claim !== "none" || !planned) return claim === "own";
  // Without the base or, in Podman, the network mode, this cannot be checked.
  if (planned.base !== null && (!base || actual.networkMode === "")) return false;
  // Another program may have named the image by its id.
  const image = actual.imageId === imageId ? planned.request.Image : actual.image;
  return containerChange(planned, { ...actual, image }, base) === null;
}
