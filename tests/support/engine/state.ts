import { createHash } from "node:crypto";
import type { PlannedContainer, PlannedNetwork } from "../../../topology/plan.ts";
import { ApplyError, chunk, closeQuietly, encode, headOf, json, writeAll } from "./http.ts";

/** A range of IPv4 addresses, as numbers. */
export interface Subnet {
  readonly first: number;
  readonly last: number;
  readonly bits: number;
}

/** Reads `10.0.0.0/24`; undefined when it is nothing of the kind. */
export function readSubnet(text: string): Subnet | undefined {
  const match = text.match(/^([\d.]+)\/(\d{1,2})$/);
  const address = readAddress(match?.[1] ?? "");
  const bits = Number(match?.[2]);
  if (address === undefined || !(bits <= 32)) return undefined;
  const size = 2 ** (32 - bits);
  const first = address - address % size;
  return { first, last: first + size - 1, bits };
}

/** Reads `10.0.0.1`; undefined when it is nothing of the kind. */
export function readAddress(text: string): number | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part))) {
    return undefined;
  }
  const octets = parts.map(Number);
  if (octets.some((octet) => octet > 255)) return undefined;
  return octets.reduce((number, octet) => number * 256 + octet, 0);
}

/** Writes an address. */
export function showAddress(address: number): string {
  return [24, 16, 8, 0].map((shift) => address >>> shift & 255).join(".");
}

/** Whether two ranges share an address. */
export function overlap(one: Subnet, other: Subnet): boolean {
  return one.first <= other.last && other.first <= one.last;
}

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

/** A pool of addresses; the engine names the gateway only where it chose the subnet itself. */
export interface Pool {
  Subnet: string;
  Gateway?: string;
}
/** What ties a container to a network; most of it is empty while the container does not run. */
export type EndpointItem = ReturnType<typeof endpoint>;
/** An item of `GET /networks`. */
export type NetworkItem = ReturnType<typeof network>;
/** An item of `GET /containers/json`. */
export type ContainerItem = ReturnType<typeof container>;
/** The states a container of the real engine can be in. */
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
      Config: (subnet === undefined ? [] : [{ Subnet: subnet }]) as Pool[],
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

function endpoint(network: string, ip: string, state: ContainerState) {
  const up = state === "running" || state === "paused";
  const mac = ip.split(".").map((octet) => Number(octet).toString(16).padStart(2, "0"));
  return {
    IPAMConfig: (network === "bridge" ? null : { IPv4Address: ip }) as
      | { IPv4Address?: string }
      | null,
    Links: null,
    Aliases: null,
    NetworkID: state === "created" ? "" : idOf("network", network),
    EndpointID: up ? idOf("endpoint", `${network} ${ip}`) : "",
    Gateway: up ? ip.replace(/\d+$/, "1") : "",
    IPAddress: up ? ip : "",
    IPPrefixLen: up ? 24 : 0,
    IPv6Gateway: "",
    GlobalIPv6Address: "",
    GlobalIPv6PrefixLen: 0,
    MacAddress: up ? `02:42:${mac.join(":")}` : "",
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

/** The id of the image that goes by a tag, as long as nobody has built another. */
export function imageIdOf(tag: string): string {
  return `sha256:${idOf("image", tag)}`;
}

/** The id of an object that was not made over the socket. */
function idOf(kind: string, name: string): string {
  return createHash("sha256").update(`${kind} ${name}`).digest("hex");
}

/** The images of an engine, by tag; `x` means `x:latest`. */
export class Images implements Iterable<string> {
  /** Tag → id; null when the tag is gone. */
  readonly #ids = new Map<string, string | null>();
  readonly #onChange: () => void;

  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  /** Adds an image; without an id, the one that `container({ image })` has. */
  add(name: string, id = imageIdOf(withTag(name))): this {
    this.#ids.set(withTag(name), id);
    this.#onChange();
    return this;
  }

  /** Puts another image under the tag, as a new build does; the answer is its id. */
  rebuild(name: string): string {
    const id = `sha256:${newId()}`;
    this.add(name, id);
    return id;
  }

  /** Takes the tag away; true when it was there. */
  delete(name: string): boolean {
    const isThere = this.has(name);
    if (isThere) this.#ids.set(withTag(name), null);
    this.#onChange();
    return isThere;
  }

  /** Takes all tags away. */
  clear(): void {
    for (const name of this) this.delete(name);
  }

  has(name: string): boolean {
    return this.idOf(name) !== undefined;
  }

  /** The id of the image that the tag stands for now. */
  idOf(name: string): string | undefined {
    return this.#ids.get(withTag(name)) ?? undefined;
  }

  /** The tags. */
  *[Symbol.iterator](): Generator<string> {
    for (const [tag, id] of this.#ids) if (id !== null) yield tag;
  }

  /** The name that the engine lists: the id, once the tag no longer stands for that image. */
  listedName(name: string, id: string): string {
    const now = this.#ids.get(withTag(name));
    return now === undefined || now === id ? name : id;
  }

  /** The image of that tag, id or beginning of an id. Throws `Refusal` (404, 400). */
  find(name: string): { id: string; tags: string[] } {
    const id = /^sha256:[0-9a-f]{64}$/.test(name) ? this.#known(name) : this.#byReference(name);
    if (id === undefined) throw new ApplyError(404, `No such image: ${withTag(familiar(name))}`);
    return { id, tags: [...this].filter((tag) => this.idOf(tag) === id) };
  }

  #byReference(name: string): string | undefined {
    const repository = familiar(name).replace(/:[^:/]*$/, "");
    if (/[A-Z]/.test(repository)) {
      throw new ApplyError(400, "invalid reference format: repository name must be lowercase");
    }
    if (!/^[a-z0-9][\w./:-]*$/.test(familiar(name))) {
      throw new ApplyError(400, "invalid reference format");
    }
    return this.idOf(familiar(name)) ??
      [...this.#ids.values()].find((id) => {
        return /^[0-9a-f]+$/.test(name) && id?.startsWith(`sha256:${name}`);
      }) ?? undefined;
  }

  #known(id: string): string | undefined {
    return [...this.#ids.values()].includes(id) ? id : undefined;
  }
}

function withTag(name: string): string {
  return /:[^/]*$/.test(name) ? name : `${name}:latest`;
}

function familiar(name: string): string {
  return name.replace(/^docker\.io\/(library\/)?/, "");
}

/** What an engine has at one moment. */
interface Holdings {
  readonly networks: readonly NetworkItem[];
  readonly containers: readonly ContainerItem[];
}

/** One event, as far as a stand-in can tell it. */
interface EngineEvent {
  readonly Type: "container" | "network";
  readonly Action: string;
  readonly Actor: { readonly ID: string; readonly Attributes: Readonly<Record<string, string>> };
}

/** What the engine would have told between two moments, in its order. */
function eventsBetween(before: Holdings, after: Holdings): EngineEvent[] {
  const [oldNetworks, newNetworks] = [byId(before.networks), byId(after.networks)];
  const [oldContainers, newContainers] = [byId(before.containers), byId(after.containers)];
  const events: EngineEvent[] = [];
  for (const [id, network] of newNetworks) {
    if (!oldNetworks.has(id)) events.push(ofNetwork("create", network));
  }
  for (const [id, container] of newContainers) {
    const old = oldContainers.get(id);
    if (!old) events.push(ofContainer("create", container));
    events.push(...changesOf(old ?? { ...container, State: "created" }, container));
  }
  for (const [id, container] of oldContainers) {
    if (newContainers.has(id)) continue;
    if (isUp(container)) events.push(...changesOf(container, { ...container, State: "exited" }));
    events.push(ofContainer("destroy", container));
  }
  for (const [id, network] of oldNetworks) {
    if (!newNetworks.has(id)) events.push(ofNetwork("destroy", network));
  }
  return events;
}

function changesOf(before: ContainerItem, after: ContainerItem): EngineEvent[] {
  const [was, is] = [isUp(before), isUp(after)];
  const [lost, gained] = [liveTies(before, after), liveTies(after, before)];
  return [
    ...(before.Names[0] !== after.Names[0]
      ? [ofContainer("rename", after, { oldName: before.Names[0]! })]
      : []),
    ...(was && !is ? [ofContainer("die", after, { exitCode: "137" })] : []),
    ...lost.map((tie) => ofTie("disconnect", tie, after)),
    ...gained.map((tie) => ofTie("connect", tie, after)),
    ...(!was && is ? [ofContainer("start", after)] : []),
    ...(was && is && before.State !== after.State
      ? [ofContainer(after.State === "paused" ? "pause" : "unpause", after)]
      : []),
    ...(was && is && healthOf(after) && healthOf(before) !== healthOf(after)
      ? [ofContainer(`health_status: ${healthOf(after)}`, after)]
      : []),
  ];
}

/** The networks that a running container is on, and was not, or not running, at the other moment. */
function liveTies(one: ContainerItem, other: ContainerItem): [string, EndpointItem][] {
  if (!isUp(one)) return [];
  const others = isUp(other) ? other.NetworkSettings.Networks : {};
  return Object.entries(one.NetworkSettings.Networks).filter(([name]) => !(name in others));
}

function healthOf({ Status }: ContainerItem): string | undefined {
  return /\((?:health: )?(healthy|unhealthy|starting)\)/.exec(Status)?.[1];
}

function ofContainer(action: string, container: ContainerItem, more = {}): EngineEvent {
  const { Id: id, Names: [name], Image: image, Labels: labels } = container;
  const attributes = { ...labels, image, name: name!.slice(1), ...more };
  return { Type: "container", Action: action, Actor: { ID: id, Attributes: attributes } };
}

function ofNetwork(action: string, { Id: id, Name: name, Driver: type }: NetworkItem): EngineEvent {
  return { Type: "network", Action: action, Actor: { ID: id, Attributes: { name, type } } };
}

function ofTie(
  action: string,
  [name, { NetworkID: id }]: [string, EndpointItem],
  { Id: container }: ContainerItem,
): EngineEvent {
  const attributes = { container, name, type: "bridge" };
  return { Type: "network", Action: action, Actor: { ID: id, Attributes: attributes } };
}

function byId<Item extends { readonly Id: string }>(items: readonly Item[]): Map<string, Item> {
  return new Map(items.map((item) => [item.Id, item]));
}

type Filters = Readonly<Record<string, readonly string[]>>;

/** One connection that listens. */
class EventStream {
  readonly #connection: Deno.Conn;
  readonly #filters: Filters;
  #written: Promise<unknown> = Promise.resolve();
  #hasHead = false;

  constructor(connection: Deno.Conn, query: URLSearchParams) {
    this.#connection = connection;
    this.#filters = JSON.parse(query.get("filters") || "{}");
  }

  /** Tells events, as far as they are wanted. */
  tell(events: readonly EngineEvent[]): void {
    const lines = events.filter((event) => this.#wants(event)).map((event) => {
      const { Type, Action, Actor } = event;
      const old = { status: Action, id: Actor.ID, from: Actor.Attributes.image };
      return `${JSON.stringify({ ...(Type === "container" && old), ...event, scope: "local" })}\n`;
    });
    for (const line of lines) this.write(chunk(line));
  }

  /** Writes bytes as they are; the head, if it has not gone out yet, goes before them. */
  write(bytes: Uint8Array): void {
    const head = this.#hasHead ? "" : headOf(json(200, null), { "Transfer-Encoding": "chunked" });
    this.#hasHead = true;
    const all = new Uint8Array([...encode(head), ...bytes]);
    // Who does not listen any more has gone.
    this.#written = this.#written.then(() => writeAll(this.#connection, all)).catch(() => {});
  }

  close(): void {
    closeQuietly(this.#connection);
  }

  #wants({ Type, Action }: EngineEvent): boolean {
    const { type, event } = this.#filters;
    const verb = Action.split(":")[0]!;
    return (type?.includes(Type) ?? true) && (event?.includes(verb) ?? true);
  }
}

/** Those who listen to a stand-in's events. */
export class EventStreams {
  /** Whether the head waits for the first event, as no known engine does. */
  isHeadLate = false;
  #last: Holdings = { networks: [], containers: [] };
  readonly #streams = new Set<EventStream>();

  /** How many there are. */
  get count(): number {
    return this.#streams.size;
  }

  /** Takes one more; the answer is what takes it away again. */
  add(connection: Deno.Conn, query: URLSearchParams): () => void {
    const stream = new EventStream(connection, query);
    if (!this.isHeadLate) stream.write(new Uint8Array());
    this.#streams.add(stream);
    return () => this.#streams.delete(stream);
  }

  /** Tells what is different from the last time. */
  changed(now: Holdings): void {
    const before = this.#last;
    this.#last = { networks: now.networks, containers: now.containers };
    if (this.#streams.size > 0) this.tell(...eventsBetween(before, this.#last));
  }

  /** Tells events to all. */
  tell(...events: EngineEvent[]): void {
    for (const stream of this.#streams) stream.tell(events);
  }

  /** Sends bytes to all, whatever they are. */
  write(bytes: Uint8Array): void {
    for (const stream of this.#streams) stream.write(bytes);
  }

  /** Ends all streams in the middle. */
  cut(): void {
    for (const stream of this.#streams) stream.close();
  }
}

/** The endpoint of a container that does not run. */
export function idleEndpoint(ipam: EndpointItem["IPAMConfig"], networkId = ""): EndpointItem {
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

/** Whether the container is running in the engine's sense, and so holds its addresses. */
export function isUp({ State }: ContainerItem): boolean {
  return State === "running" || State === "paused" || State === "restarting";
}

/** The endpoints on a network that hold an address now. */
export function activeEndpoints(state: EngineState, networkId: string): EndpointItem[] {
  return state.containers.filter(isUp).flatMap((container) =>
    Object.values(container.NetworkSettings.Networks)
      .filter(({ NetworkID, EndpointID }) => NetworkID === networkId && EndpointID !== "")
  );
}

/** Attaches a running container to a network: the endpoint with its address. Throws `Refusal`. */
export function liveEndpoint(
  state: EngineState,
  network: NetworkItem,
  ipam: EndpointItem["IPAMConfig"],
): EndpointItem {
  const endpoint = { ...idleEndpoint(ipam, network.Id), EndpointID: newId() };
  const wanted = ipam?.IPv4Address;
  if (wanted) refuseOwnAddress(network);
  const pool = network.IPAM.Config[0];
  const subnet = pool && readSubnet(pool.Subnet);
  if (!subnet || network.Driver === "null" || network.Driver === "host") return endpoint;
  const address = wanted ? checkAddress(state, network, wanted) : freeAddress(state, network);
  return {
    ...endpoint,
    Gateway: pool.Gateway ?? showAddress(subnet.first + 1),
    IPAddress: showAddress(address),
    IPPrefixLen: subnet.bits,
    MacAddress: `02:42:${address.toString(16).padStart(8, "0").match(/../g)!.join(":")}`,
  };
}

/** The engine's own networks, and those without a subnet of the user's, give addresses themselves. */
export function refuseOwnAddress(network: NetworkItem): void {
  const only = isPredefined(network.Name)
    ? "supported on user defined networks only"
    : network.IPAM.Config.some(({ Gateway }) => Gateway === undefined)
    ? ""
    : "supported only when connecting to networks with user configured subnets";
  if (only) throw new ApplyError(400, `user specified IP address is ${only}`);
}

/** Reads an address as the engine does when it attaches a running container. */
export function parseAddress(text: string): number {
  const address = readAddress(text);
  if (address === undefined) throw new ApplyError(500, `Invalid IPv4 address: ${text})`);
  return address;
}

function checkAddress(state: EngineState, network: NetworkItem, text: string): number {
  const address = parseAddress(text);
  const subnet = subnets(network).find(({ first, last }) => first <= address && address <= last);
  if (!subnet) {
    const problem = "It does not belong to any of this network's subnets";
    throw new ApplyError(500, `Invalid address ${text}: ${problem}`);
  }
  if (taken(state, network, subnet).has(address)) {
    throw new ApplyError(403, "Address already in use");
  }
  return address;
}

function freeAddress(state: EngineState, network: NetworkItem): number {
  for (const subnet of subnets(network)) {
    const used = taken(state, network, subnet);
    for (let address = subnet.first; address <= subnet.last; address++) {
      if (!used.has(address)) return address;
    }
  }
  throw new ApplyError(403, "no available IPv4 addresses on this network's address pools");
}

/** Those of the network itself, its gateway and its broadcasts, and those that somebody has. */
function taken(state: EngineState, network: NetworkItem, { first, last }: Subnet): Set<number> {
  const held = activeEndpoints(state, network.Id).map(({ IPAddress }) => readAddress(IPAddress));
  return new Set([first, first + 1, last, ...held.filter((address) => address !== undefined)]);
}

function subnets(network: NetworkItem): Subnet[] {
  return network.IPAM.Config.map((pool) => readSubnet(pool.Subnet)).filter((it) =>
    it !== undefined
  );
}

const predefined = new Map([["bridge", "bridge"], ["host", "host"], ["none", "null"]]);

/**
 * What an engine has. The items are never changed, only replaced: a test's own array stays as it is,
 * and an earlier state can be put back.
 */
export class EngineState {
  readonly images: Images;
  /** Container id → the body that it was created from. */
  readonly bodies = new Map<string, unknown>();
  readonly #onChange: () => void;
  #networks: readonly NetworkItem[] = [];
  #containers: readonly ContainerItem[] = [];

  /** `onChange` is called after each change. */
  constructor(onChange: () => void) {
    this.#onChange = onChange;
    this.images = new Images(onChange);
  }

  get networks(): readonly NetworkItem[] {
    return this.#networks;
  }
  set networks(networks: readonly NetworkItem[]) {
    this.#networks = networks;
    this.#onChange();
  }

  /** The newest first, as the engine lists them. */
  get containers(): readonly ContainerItem[] {
    return this.#containers;
  }
  set containers(containers: readonly ContainerItem[]) {
    this.#containers = containers;
    this.#onChange();
  }

  /** Keeps the state; the answer puts it back. */
  snapshot(): () => void {
    const [networks, containers] = [this.#networks, this.#containers];
    return () => {
      this.networks = networks;
      this.containers = containers;
    };
  }

  /** The network of that id, name or beginning of an id. Throws `Refusal` (404, 400). */
  network(reference: string): NetworkItem {
    const all = this.#networks;
    const exact = all.filter(({ Id }) => Id === reference);
    const named = all.filter(({ Name }) => Name === reference);
    const begun = all.filter(({ Id }) => Id.startsWith(reference));
    const [found, by] = exact.length > 0
      ? [exact, "ID"]
      : named.length > 0
      ? [named, "name"]
      : [begun, "ID prefix"];
    if (found.length > 1) {
      const count = `${found.length} matches found based on ${by}`;
      throw new ApplyError(400, `network ${reference} is ambiguous (${count})`);
    }
    const item = found[0] ?? builtIn(reference);
    if (!item) throw new ApplyError(404, `network ${reference} not found`);
    return item;
  }

  /** The network of that id, name or beginning of an id; undefined when it is not to be had. */
  findNetwork(reference: string): NetworkItem | undefined {
    try {
      return this.network(reference);
    } catch (error) {
      if (error instanceof ApplyError) return undefined;
      throw error;
    }
  }

  /** The container of that id, name or beginning of an id. Throws `Refusal` (404, 500). */
  container(reference: string): ContainerItem {
    if (reference === "") throw new ApplyError(400, 'invalid name or ID supplied: ""');
    const name = `/${reference.replace(/^\//, "")}`;
    const exact = this.#containers.find(({ Id }) => Id === reference) ??
      this.#containers.find(({ Names }) => Names.includes(name));
    if (exact) return exact;
    const begun = this.#containers.filter(({ Id }) => Id.startsWith(reference));
    if (begun.length > 1) {
      throw new ApplyError(500, `Multiple IDs found with provided prefix: ${reference}`);
    }
    if (!begun[0]) throw new ApplyError(404, `No such container: ${reference}`);
    return begun[0];
  }

  /** Puts a container of the same id in the place of the present one. */
  replace(container: ContainerItem): ContainerItem {
    const index = this.#containers.findIndex(({ Id }) => Id === container.Id);
    this.containers = this.#containers.with(index, container);
    return container;
  }
}

/** Whether the engine brings a network of this name along. */
export function isPredefined(name: string): boolean {
  return predefined.has(name) || name === "default";
}

/** The engine's own networks are there even when a test lists none. */
function builtIn(reference: string): NetworkItem | undefined {
  const name = [...predefined.keys()].find((name) => {
    return name === reference || idOf("network", name) === reference;
  });
  if (name === undefined) return undefined;
  const driver = predefined.get(name)!;
  return network({ name, driver, ...(name === "bridge" ? { subnet: "172.17.0.0/16" } : {}) });
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
