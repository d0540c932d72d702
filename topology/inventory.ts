import type { Port } from "./services.ts";

/** The label that marks a Docker object as part of a topology; its value is the topology's id. */
export const topologyLabel = "decnet.topology.id";
/** The label with the digest of the specification that an object was made from. */
export const specLabel = "decnet.topology.spec";
/** The label with the id of the image that a container was made from. */
export const imageLabel = "decnet.topology.image";

/** A network that exists in the engine. */
export interface NetworkInfo {
  readonly id: string;
  readonly name: string;
  readonly driver: string;
  readonly internal: boolean;
  /** CIDR of each address pool; empty for a network that has no addresses. */
  readonly subnets: readonly string[];
  readonly labels: ReadonlyMap<string, string>;
}

/** How long a container has been running, in seconds; a range, as the engine rounds it. */
export interface Uptime {
  readonly atLeast: number;
  readonly atMost: number;
}

/** A container that exists in the engine, running or not. */
export interface ContainerInfo {
  readonly id: string;
  readonly name: string;
  /** Docker's state: created, running, paused, restarting, exited, removing or dead. */
  readonly state: string;
  /** Whether its health check fails. */
  readonly unhealthy: boolean;
  readonly labels: ReadonlyMap<string, string>;
  /** As in its creation; the id of the image once its tag means another one. */
  readonly image: string;
  readonly imageId: string;
  /** The labels of its image, where they were asked for. */
  readonly imageLabels?: ReadonlyMap<string, string>;
  /** `container:<id>` when it shares the network of a container; empty in Podman's list. */
  readonly networkMode: string;
  /** Null when it is unknown. */
  readonly uptime: Uptime | null;
  /** The ports of the host that it publishes now. */
  readonly publishedPorts: readonly Port[];
  /** Network name → IPv4 address; the address is empty while the container does not run. */
  readonly addressByNetwork: ReadonlyMap<string, string>;
}

/** The objects in the engine: all of them, or only the managed ones. */
export interface Inventory {
  readonly networks: readonly NetworkInfo[];
  readonly containers: readonly ContainerInfo[];
}

/** Whether Docker counts a container as running, as in `docker ps`. */
export function isRunning({ state }: Pick<ContainerInfo, "state">): boolean {
  return state === "running" || state === "paused" || state === "restarting";
}

/** Whether a container shares the network of another one, and must be removed before it. */
export function isService({ networkMode, labels }: ContainerInfo): boolean {
  return networkMode.startsWith("container:") || labels.has("decnet.topology.service");
}

/**
 * What the labels of an object say: `none` without our label, `own` when the agent made it for this
 * topology, `other` for another topology, `inherited` when they came with the image, which may be a
 * copy by `docker commit`, `misnamed` when the name is not the topology's.
 */
export type Claim = "none" | "own" | "other" | "inherited" | "misnamed";

/** The beginning of the names of a topology's objects. */
export function namePrefix(topologyId: string): string {
  return `decnet_t_${topologyId.slice(0, 8)}_`;
}

/** Reads whether a network belongs to topology `id`. */
export function networkClaim(
  { name, labels }: Pick<NetworkInfo, "name" | "labels">,
  id: string,
): Claim {
  const label = labels.get(topologyLabel);
  if (label === undefined) return "none";
  if (label !== id) return "other";
  return name.startsWith(namePrefix(id)) ? "own" : "misnamed";
}

/** Reads whether a container belongs to topology `id`; a container inherits the labels of its image. */
export function containerClaim(actual: ContainerInfo, id: string): Claim {
  const claim = networkClaim(actual, id);
  const usedImage = actual.labels.get(imageLabel);
  if (claim === "other") return claim;
  if (claim === "none") return actual.labels.has(specLabel) ? "inherited" : "none";
  // No image has its own id among its labels.
  const isInherited = usedImage === undefined
    ? actual.imageLabels?.get(topologyLabel) === id
    : usedImage !== actual.imageId;
  if (isInherited) return "inherited";
  return isDying(actual) || isFirstAgentService(actual) ? "own" : claim;
}

/** Whether the engine has failed to remove a container, and has taken its name away. */
function isDying({ id, name, state }: ContainerInfo): boolean {
  return (state === "dead" || state === "removing") && name === id.slice(0, 12);
}

/** The first agent named its services without the topology's id. */
function isFirstAgentService({ name, labels, networkMode }: ContainerInfo): boolean {
  if (labels.has(specLabel) || labels.has(imageLabel)) return false;
  const decky = labels.get("decnet.topology.decky");
  const service = labels.get("decnet.topology.service_name");
  if (decky === undefined || service === undefined) return false;
  return networkMode.startsWith("container:") &&
    [`${decky}-${service}`, `${decky}-${service.replaceAll("_", "-")}`].includes(name);
}

/** Describes a claim for an operator; empty without our label. */
export function describeClaim(claim: Claim, { labels }: Pick<NetworkInfo, "labels">): string {
  return {
    none: "",
    own: "of this topology",
    other: `of topology ${labels.get(topologyLabel)}`,
    inherited: "its labels came with its image",
    misnamed: "its label names this topology, its name does not",
  }[claim];
}
