import { createHash } from "node:crypto";
import type { PlannedContainer, PlannedNetwork } from "../../../topology/plan.ts";

/** The states a container of the real engine can be in. */
export const containerStates = [
  "created",
  "running",
  "paused",
  "restarting",
  "removing",
  "exited",
  "dead",
] as const;

/** A container's connection to a network; most of it is empty while the container does not run. */
export type EndpointItem = ReturnType<typeof idleEndpoint>;
/** An item of `GET /networks`. */
export type NetworkItem = ReturnType<typeof network>;
/** An item of `GET /containers/json`. */
export type ContainerItem = ReturnType<typeof container>;
/** One of `containerStates`. */
export type ContainerState = typeof containerStates[number];

/** A network as the real engine lists it. */
export function network(options: {
  name: string;
  subnet?: string;
  labels?: Record<string, string>;
  internal?: boolean;
  driver?: string;
}) {
  const { name, subnet, labels = {}, internal = false, driver = "bridge" } = options;
  return {
    Name: name,
    Id: idOf("network", name),
    Created: "2026-01-02T03:04:05.678901234Z",
    Scope: "local",
    Driver: driver,
    EnableIPv6: false,
    IPAM: {
      Driver: "default",
      Options: {} as Record<string, string> | null,
      // The engine names the gateway only where it chose the subnet itself.
      Config: (subnet ? [{ Subnet: subnet }] : []) as { Subnet: string; Gateway?: string }[],
    },
    Internal: internal,
    Attachable: false,
    Ingress: false,
    ConfigFrom: { Network: "" },
    ConfigOnly: false,
    Containers: {},
    Options: {} as Record<string, string>,
    Labels: labels,
  };
}

/**
 * A container as the real engine lists it; `addresses` maps network names to IPv4 addresses, and
 * a `networkMode` of `container:<name>` becomes one with that container's id, as the engine does.
 */
export function container(options: {
  name: string;
  state?: ContainerState;
  labels?: Record<string, string>;
  health?: "starting" | "healthy" | "unhealthy";
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
    Command: "sleep infinity",
    Created: 1_767_323_045,
    Ports: [] as unknown[],
    Labels: labels,
    State: state,
    Status: statusText(state, options.health),
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
    Mounts: [] as unknown[],
  };
}

function endpoint(network: string, ip: string, state: ContainerState): EndpointItem {
  const ipam = network === "bridge" ? null : { IPv4Address: ip };
  const idle = idleEndpoint(ipam, state === "created" ? "" : idOf("network", network));
  if (state !== "running" && state !== "paused") return idle;
  const mac = ip.split(".").map((octet) => Number(octet).toString(16).padStart(2, "0"));
  return {
    ...idle,
    EndpointID: idOf("endpoint", `${network} ${ip}`),
    Gateway: ip.replace(/\d+$/, "1"),
    IPAddress: ip,
    IPPrefixLen: 24,
    MacAddress: `02:42:${mac.join(":")}`,
  };
}

/** The endpoint of a container that does not run; the engine gives it the network's id at a start. */
export function idleEndpoint(ipam: { IPv4Address?: string } | null, networkId = "") {
  return {
    IPAMConfig: ipam,
    Links: null,
    Aliases: null,
    NetworkID: networkId,
    EndpointID: "",
    Gateway: "",
    IPAddress: "",
    IPPrefixLen: 0,
    IPv6Gateway: "",
    GlobalIPv6Address: "",
    GlobalIPv6PrefixLen: 0,
    MacAddress: "",
    DriverOpts: null,
  };
}

function statusText(state: ContainerState, health: string | undefined): string {
  const checked = health === "starting" ? " (health: starting)" : health ? ` (${health})` : "";
  return {
    created: "Created",
    running: `Up 2 minutes${checked}`,
    paused: "Up 2 minutes (Paused)",
    restarting: "Restarting (1) 5 seconds ago",
    removing: "Removal In Progress",
    exited: "Exited (0) 3 minutes ago",
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
  override readonly name = "EngineRefusal";

  constructor(readonly status: number, message: string) {
    super(message);
  }
}

/** The images of an engine, by tag; `x` means `x:latest`. */
export class Images implements Iterable<string> {
  /** Tag → id; null when the tag is gone. */
  readonly #ids = new Map<string, string | null>();

  constructor(readonly onChange: () => void) {}

  /** Adds an image; without an id, the one that `container({ image })` has. */
  add(name: string, id: string | null = imageIdOf(withTag(name))): this {
    this.#ids.set(withTag(name), id);
    this.onChange();
    return this;
  }

  /** Removes the tag. */
  delete(name: string): void {
    if (this.idOf(name)) this.add(name, null);
  }

  /** Removes all tags. */
  clear(): void {
    for (const name of this) this.delete(name);
  }

  /** The id of the image that the tag stands for now. */
  idOf(name: string): string | undefined {
    return this.#ids.get(withTag(name)) ?? undefined;
  }

  *[Symbol.iterator](): Generator<string> {
    for (const [tag, id] of this.#ids) if (id !== null) yield tag;
  }

  /** The name that the engine lists: the id, once the tag no longer stands for that image. */
  listedName(name: string, id: string): string {
    const now = this.#ids.get(withTag(name));
    return now === undefined || now === id ? name : id;
  }

  /** The id of the image of that tag or id. Throws `EngineRefusal`. */
  find(name: string): string {
    const short = name.replace(/^docker\.io\/(library\/)?/, "");
    const id = [...this.#ids.values()].find((id) => id === name) ?? this.idOf(short);
    if (!id) throw new EngineRefusal(404, `No such image: ${withTag(short)}`);
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
 * What an engine has. The items are replaced, never changed: a test's own array stays as it is, and an
 * earlier state can be put back.
 */
export class EngineState {
  readonly images: Images;
  /** The bodies that containers were created from, by id. */
  readonly bodies = new Map<string, unknown>();
  #networks: readonly NetworkItem[] = [];
  #containers: readonly ContainerItem[] = [];

  /** `onChange` is called after each change. */
  constructor(readonly onChange: () => void) {
    this.images = new Images(onChange);
  }

  get networks(): readonly NetworkItem[] {
    return this.#networks;
  }
  set networks(networks: readonly NetworkItem[]) {
    this.#networks = networks;
    this.onChange();
  }

  /** The newest first, as the engine lists them. */
  get containers(): readonly ContainerItem[] {
    return this.#containers;
  }
  set containers(containers: readonly ContainerItem[]) {
    this.#containers = containers;
    this.onChange();
  }

  /** Keeps the state; the answer puts it back. */
  snapshot(): () => void {
    const [networks, containers] = [this.#networks, this.#containers];
    return () => Object.assign(this, { networks, containers });
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
