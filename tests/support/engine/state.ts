import { createHash } from "node:crypto";
import type { PlannedContainer, PlannedNetwork } from "../../../topology/plan.ts";

/** A container's connection to a network; most of it is empty while the container does not run. */
export type EndpointItem = ReturnType<typeof idleEndpoint>;
/** An item of `GET /networks`. */
export type NetworkItem = ReturnType<typeof network>;
/** An item of `GET /containers/json`. */
export type ContainerItem = ReturnType<typeof container>;
/** The states that a container of the real engine can be in. */
export type ContainerState =
  | "created"
  | "running"
  | "paused"
  | "restarting"
  | "removing"
  | "exited"
  | "dead";

/** A network as the real engine lists it, as far as the agent reads it. */
export function network(options: {
  name: string;
  subnet?: string | undefined;
  labels?: Record<string, string>;
  internal?: boolean;
  driver?: string;
}) {
  const { name, subnet, labels = {}, internal = false, driver = "bridge" } = options;
  return {
    Name: name,
    Id: idOf("network", name),
    Driver: driver,
    IPAM: { Driver: "default", Config: subnet ? [{ Subnet: subnet }] : [] },
    Internal: internal,
    ConfigOnly: false,
    Labels: labels,
  };
}

/**
 * A container as the real engine lists it, as far as the agent reads it; `addresses` maps network names to IPv4 addresses, and
 * a `networkMode` of `container:<name>` becomes one with that container's id, as the engine does.
 */
export function container(options: {
  name: string;
  state?: ContainerState;
  labels?: Record<string, string>;
  health?: "healthy" | "unhealthy";
  addresses?: Record<string, string>;
  networkMode?: string;
  image?: string;
}) {
  const { name, state = "running", labels = {}, image = "busybox:latest" } = options;
  const mode = options.networkMode ?? Object.keys(options.addresses ?? {})[0] ?? "default";
  const addresses = options.addresses ?? (mode === "default" ? { bridge: "172.17.0.2" } : {});
  return {
    Id: idOf("container", name),
    Names: [`/${name}`],
    Image: image,
    ImageID: imageIdOf(image),
    Ports: [] as unknown[],
    Labels: labels,
    State: state,
    Status: statusText(state, "2 minutes", options.health),
    HostConfig: {
      NetworkMode: mode.replace(/^container:(?![0-9a-f]{64}$)(.+)$/, (_, other) => {
        return `container:${idOf("container", other)}`;
      }),
    },
    NetworkSettings: {
      Networks: Object.fromEntries(
        Object.entries(addresses).map(([name, ip]) => [name, endpoint(name, ip, state)]),
      ) as Record<string, EndpointItem>,
    },
  };
}

function endpoint(network: string, ip: string, state: ContainerState): EndpointItem {
  const ipam = network === "bridge" ? null : { IPv4Address: ip };
  const idle = idleEndpoint(ipam, state === "created" ? "" : idOf("network", network));
  if (state !== "running" && state !== "paused") return idle;
  return { ...idle, EndpointID: idOf("endpoint", `${network} ${ip}`), IPAddress: ip };
}

/** The endpoint of a container that does not run; the engine gives it the network's id at a start. */
export function idleEndpoint(ipam: { IPv4Address?: string } | null, networkId = "") {
  return { IPAMConfig: ipam, NetworkID: networkId, EndpointID: "", IPAddress: "" };
}

/** The words in which the engine lists a state that has lasted for `age`. */
export function statusText(state: ContainerState, age: string, health?: string): string {
  return {
    created: "Created",
    running: `Up ${age}${health ? ` (${health})` : ""}`,
    paused: `Up ${age} (Paused)`,
    restarting: `Restarting (1) ${age} ago`,
    removing: "Removal In Progress",
    exited: `Exited (137) ${age} ago`,
    dead: "Dead",
  }[state];
}

/** An id that nothing else has. */
export function newId(): string {
  return crypto.getRandomValues(new Uint8Array(32)).toHex();
}

/** The id of the image behind a tag, as long as it was not rebuilt. */
export function imageIdOf(tag: string): string {
  return `sha256:${idOf("image", tag)}`;
}

/** The id of an object that was not made over the socket. */
function idOf(kind: string, name: string): string {
  return createHash("sha256").update(`${kind} ${name}`).digest("hex");
}

/** Whether a container runs in the engine's sense, and so holds its addresses. */
export function isUp({ State }: ContainerItem): boolean {
  return State === "running" || State === "paused" || State === "restarting";
}

/** An error that the engine answers with. */
export class EngineRefusal extends Error {
  constructor(readonly status: number, message: string) {
    super(message);
  }
}

/** The images of an engine, by tag; `x` means `x:latest`. */
export class Images implements Iterable<string> {
  readonly #ids = new Map<string, string>();
  /** Id → labels. */
  readonly #labels = new Map<string, Readonly<Record<string, string>>>();
  readonly #deleted = new Set<string>();

  /** Adds an image; without an id, the one that `container({ image })` has. */
  add(
    name: string,
    id: string = imageIdOf(withTag(name)),
    labels: Readonly<Record<string, string>> = {},
  ): void {
    this.#ids.set(withTag(name), id);
    this.#labels.set(id, labels);
  }

  /** The images, as the engine lists them, with those of its containers that were not deleted. */
  list(containers: readonly ContainerItem[]) {
    const used = containers.map(({ ImageID }) => ImageID).filter((id) => !this.#deleted.has(id));
    const ids = new Set([...used, ...this.#labels.keys()]);
    return [...ids].map((Id) => ({ Id, Labels: this.#labels.get(Id) ?? {} }));
  }

  delete(name: string): void {
    this.#ids.delete(withTag(name));
    this.#deleted.add(imageIdOf(withTag(name)));
  }

  [Symbol.iterator](): Iterator<string> {
    return this.#ids.keys();
  }

  /** The id of the image of that tag or id. Throws `EngineRefusal`. */
  find(name: string): string {
    const tag = withTag(name.replace(/^docker\.io\/(library\/)?/, ""));
    const id = this.#ids.get(tag) ?? [...this.#ids.values()].find((id) => id === name);
    if (!id) throw new EngineRefusal(404, `No such image: ${tag}`);
    return id;
  }
}

function withTag(name: string): string {
  return /:[^/]*$/.test(name) ? name : `${name}:latest`;
}

/** The networks of the engine itself, which are there even when a test lists none. */
const predefined: readonly NetworkItem[] = [
  network({ name: "bridge", subnet: "172.17.0.0/16" }),
  network({ name: "host", driver: "host" }),
  network({ name: "none", driver: "null" }),
];

/**
 * What an engine has. The items are replaced, never changed: a test's own array stays as it is, and
 * answers can be kept until another array is assigned.
 */
export class EngineState {
  #images = new Images();
  /** The bodies that containers were created from, by id. */
  readonly bodies = new Map<string, unknown>();
  #networks: readonly NetworkItem[] = [];
  #containers: readonly ContainerItem[] = [];

  /** Called after each change of networks and containers. */
  protected changed(): void {}

  /** What `GET /networks` lists; assign a new array to change it. */
  get networks(): readonly NetworkItem[] {
    return this.#networks;
  }
  set networks(networks: readonly NetworkItem[]) {
    this.#networks = networks;
    this.changed();
  }

  /** What `GET /containers/json` lists, the newest first; assign a new array to change it. */
  get containers(): readonly ContainerItem[] {
    return this.#containers;
  }
  set containers(containers: readonly ContainerItem[]) {
    this.#containers = containers;
    this.changed();
  }

  /** The images that containers can be created from; assign names to have those and no others. */
  get images(): Images {
    return this.#images;
  }
  set images(names: Iterable<string>) {
    this.#images = new Images();
    for (const name of names) this.#images.add(name);
  }

  /** The network of that id or name, the engine's own ones included. Throws `EngineRefusal`. */
  network(reference: string): NetworkItem {
    const all = [...this.#networks, ...predefined];
    const found = all.find(({ Id }) => Id === reference) ??
      all.find(({ Name }) => Name === reference);
    if (found) return found;
    throw new EngineRefusal(404, `network ${reference} not found`);
  }

  /** The container of that id or name. Throws `EngineRefusal`. */
  container(reference: string): ContainerItem {
    const found = this.#containers.find(({ Id }) => Id === reference) ??
      this.#containers.find(({ Names }) => Names.includes(`/${reference}`));
    if (!found) throw new EngineRefusal(404, `No such container: ${reference}`);
    return found;
  }

  /** The body that a container was created from over the socket; undefined for another. */
  bodyOf(name: string): unknown {
    return this.bodies.get(this.container(name).Id);
  }

  /** Puts a container in the place of the one with the same id. */
  replace(container: ContainerItem): void {
    const index = this.#containers.findIndex(({ Id }) => Id === container.Id);
    this.containers = this.#containers.with(index, container);
  }
}

/** A network as the engine lists it once it was made as planned. */
export function networkOf({ name, subnet, internal, request }: PlannedNetwork): NetworkItem {
  return network({ name, subnet, internal, labels: { ...request.Labels } });
}

/** A container that runs as planned, as the engine lists it. */
export function containerOf(
  { name, base, addressByNetwork, request }: PlannedContainer,
): ContainerItem {
  return container({
    name,
    image: request.Image,
    labels: { ...request.Labels },
    ...(base === null
      ? { addresses: Object.fromEntries(addressByNetwork) }
      : { networkMode: `container:${base}` }),
  });
}
