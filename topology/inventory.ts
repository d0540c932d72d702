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
