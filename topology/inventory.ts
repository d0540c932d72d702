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
  /** CIDR of each address pool. */
  readonly subnets: readonly string[];
  readonly labels: ReadonlyMap<string, string>;
}

/** How long a container has been running, in seconds; the engine has only rounded words for it. */
export interface Uptime {
  readonly atLeast: number;
  readonly atMost: number;
}

/** A container that exists in the engine, running or not. */
export interface ContainerInfo {
  readonly id: string;
  readonly name: string;
  /** The engine's word: created, running, paused, restarting, exited, removing or dead. */
  readonly state: string;
  /** Its health check fails. */
  readonly unhealthy: boolean;
  readonly labels: ReadonlyMap<string, string>;
  /** `container:<id>` for one that shares another's network; empty where Podman does not tell. */
  readonly networkMode: string;
  /** How long it has been running, or null where that is not known. */
  readonly uptime: Uptime | null;
  /** Network name → IPv4 address; the address is empty while the container does not run. */
  readonly addressByNetwork: ReadonlyMap<string, string>;
}

/** What exists in the engine, or the part of it that is ours: by label or by name. */
export interface Inventory {
  readonly networks: readonly NetworkInfo[];
  readonly containers: readonly ContainerInfo[];
}

/** Whether Docker counts the container as running: what `docker ps` lists. */
export function isRunning({ state }: ContainerInfo): boolean {
  return state === "running" || state === "paused" || state === "restarting";
}

/** Whether a container shares the network of another, which so can go only after it. */
export function isService({ networkMode, labels }: ContainerInfo): boolean {
  return networkMode.startsWith("container:") || labels.has("decnet.topology.service");
}
