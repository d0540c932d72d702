import type { ContainerInfo, NetworkInfo, Uptime } from "../topology/inventory.ts";
import { type Port, sortPorts } from "../topology/services.ts";

type Fields = Readonly<Record<string, unknown>>;

/** No value of our labels is longer, in characters. */
const maximumLabelLength = 256;

/** Reads the engine's answer to `GET /networks`. Throws `TypeError` for a wrong shape. */
export function readNetworks(answer: unknown): NetworkInfo[] {
  return items(answer, "networks").map((item, index) => {
    const place = `network ${index}`;
    const network = fields(item, place);
    const ipam = fields(network.IPAM ?? {}, place, "IPAM");
    const pools = items(ipam.Config ?? [], place, "IPAM.Config").map((pool) =>
      text(fields(pool, place, "IPAM.Config").Subnet ?? "", place, "Subnet")
    );
    const hasAddresses = ipam.Driver !== "null" && network.ConfigOnly !== true;
    return {
      id: text(network.Id, place, "Id"),
      name: text(network.Name, place, "Name"),
      driver: text(network.Driver, place, "Driver"),
      internal: network.Internal === true,
      // A driver that leaves addresses to others lists 0.0.0.0/0.
      subnets: pools.filter((pool) => hasAddresses && !pool.endsWith("/0")),
      labels: labelsOf(network.Labels, place),
    };
  });
}

/** Reads `GET /containers/json`, but for ids in `known`. Throws `TypeError` for a wrong shape. */
export function readContainers(
  answer: unknown,
  known: ReadonlyMap<unknown, unknown> = new Map(),
): ContainerInfo[] {
  return items(answer, "containers").flatMap((item, index) => {
    const place = `container ${index}`;
    const container = fields(item, place);
    if (known.has(container.Id)) return [];
    const status = text(container.Status ?? "", place, "Status");
    const hostConfig = fields(container.HostConfig ?? {}, place, "HostConfig");
    const settings = fields(container.NetworkSettings ?? {}, place, "NetworkSettings");
    const networks = Object.entries(fields(settings.Networks ?? {}, place, "Networks"));
    const state = text(container.State, place, "State");
    return {
      id: text(container.Id, place, "Id"),
      name: readName(container, place),
      // Podman's word for a container that has ended until it has cleaned up.
      state: state === "stopped" ? "exited" : state,
      unhealthy: status.includes("(unhealthy)"),
      labels: labelsOf(container.Labels, place),
      image: text(container.Image ?? "", place, "Image"),
      imageId: text(container.ImageID ?? "", place, "ImageID"),
      uptime: readUptime(status),
      networkMode: text(hostConfig.NetworkMode ?? "", place, "NetworkMode"),
      publishedPorts: readPorts(container.Ports ?? [], place),
      addressByNetwork: new Map(networks.map(([name, endpoint]) => {
        const address = fields(endpoint ?? {}, place, "Networks").IPAddress ?? "";
        return [name, text(address, place, "IPAddress")];
      })),
    };
  });
}

/** Reads the ports of the host that a container publishes; engines list each once for an address. */
function readPorts(value: unknown, place: string): Port[] {
  const ports = items(value, place, "Ports").map((it) => fields(it, place, "Ports"))
    .filter(({ PublicPort, Type }) =>
      Number.isInteger(PublicPort) && (Type === "tcp" || Type === "udp")
    ).map(({ PublicPort, Type }) => `${PublicPort}/${Type}` as Port);
  return ports.length === 0 ? ports : sortPorts(ports);
}

/** Reads the engine's answer to `GET /images/json`: image id → labels. Throws `TypeError`. */
export function readImageLabels(answer: unknown): Map<string, ReadonlyMap<string, string>> {
  return new Map(
    items(answer, "images").map((item, index) => {
      const image = fields(item, `image ${index}`);
      const labels = labelsOf(image.Labels, `image ${index}`);
      return [text(image.Id, `image ${index}: Id`), labels];
    }),
  );
}

/** Reads `GET /version`; `unknown` for what is left out. Throws `TypeError` for a wrong shape. */
export function readVersion(answer: unknown) {
  const version = fields(answer, "version");
  const textOf = (name: string) => text(version[name] ?? "unknown", name);
  return {
    version: textOf("Version"),
    apiVersion: textOf("ApiVersion"),
    kernel: textOf("KernelVersion"),
  };
}

/** Reads the id of one object. Throws `TypeError` when there is none. */
export function readId(answer: unknown, what: string): string {
  return text(fields(answer, what).Id, `${what}: Id`);
}

/** Reads the name, not those of legacy links (`/other/alias`); the short id if there is none. */
function readName({ Names, Id }: Fields, place: string): string {
  const own = items(Names ?? [], place, "Names")
    .map((name) => text(name, place, "Names").replace(/^\//, ""))
    .find((name) => !name.includes("/"));
  return own ?? text(Id, place, "Id").slice(0, 12);
}

/** Reads labels, without those that are too long to be ours: they would fill heartbeats. */
function labelsOf(value: unknown, place: string): Map<string, string> {
  const labels = new Map<string, string>();
  const entries = fields(value ?? {}, place, "Labels");
  for (const key of Object.keys(entries)) {
    const label = text(entries[key], place, "Labels");
    if (label.length <= maximumLabelLength) labels.set(key, label);
  }
  return labels;
}

function items(value: unknown, place: string, what = ""): unknown[] {
  if (Array.isArray(value)) return value;
  throw wrongShape(place, what, "a list");
}

function fields(value: unknown, place: string, what = ""): Fields {
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  if (isObject) return value as Fields;
  throw wrongShape(place, what, "an object");
}

function text(value: unknown, place: string, what = ""): string {
  if (typeof value === "string") return value;
  throw wrongShape(place, what, "a string");
}

/** Joins place and field only here: texts for ten thousand objects take half of their memory. */
function wrongShape(place: string, what: string, expected: string): TypeError {
  return new TypeError(`${place}${what && `: ${what}`}: not ${expected}`);
}

const hour = 3600;
const day = 24 * hour;
const [week, month, year] = [7 * day, 30 * day, 365 * day];
const secondsByUnit = new Map(
  Object.entries({ second: 1, minute: 60, hour, day, week, month, year }),
);
const upPattern =
  /^Up (Less than a second|About an? (?=minute|hour)|(\d{1,6}) )?(\w+?)?s?(?: \(|$)/;

/**
 * Reads the uptime from a status such as `Up 2 hours (healthy)`; null when there is none. The engine
 * truncates, but rounds hours: from hours on, the bounds are an hour wider.
 */
export function readUptime(status: string): Uptime | null {
  const [, words, count, unit] = upPattern.exec(status) ?? [];
  if (words === undefined) return null;
  if (words.startsWith("Less")) return { atLeast: 0, atMost: 1 };
  const seconds = secondsByUnit.get(unit ?? "");
  if (seconds === undefined) return null;
  const amount = Number(count ?? 1);
  const slack = seconds >= hour ? hour : 0;
  return { atLeast: amount * seconds - slack, atMost: (amount + 1) * seconds + slack };
}
