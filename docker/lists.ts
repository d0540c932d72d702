import type { ContainerInfo, NetworkInfo, Uptime } from "../topology/inventory.ts";

const minute = 60;
const hour = 60 * minute;
const day = 24 * hour;

/** The engine's words for a unit, and how many seconds it has. */
const units: ReadonlyMap<string, number> = new Map([
  ["second", 1],
  ["minute", minute],
  ["hour", hour],
  ["day", day],
  ["week", 7 * day],
  ["month", 30 * day],
  ["year", 365 * day],
]);

/**
 * How long a container has been up by its status, such as `Up 2 hours (healthy)`; null when it does
 * not say. The engine cuts units off, but rounds to hours: so an hour more or less is allowed for.
 */
export function readUptime(status: string): Uptime | null {
  const [, words, count, unit] =
    /^Up (Less than a second|About an? (?=minute|hour)|(\d{1,6}) )?(\w+?)?s?(?: \(|$)/.exec(
      status,
    ) ??
      [];
  if (words === undefined) return null;
  if (words.startsWith("Less")) return { atLeast: 0, atMost: 1 };
  const seconds = units.get(unit ?? "");
  if (seconds === undefined) return null;
  const amount = Number(count ?? 1);
  const slack = seconds >= hour ? hour : 0;
  return { atLeast: amount * seconds - slack, atMost: (amount + 1) * seconds + slack };
}

type Fields = Record<string, unknown>;

/** Reads the engine's answer to `GET /networks`. Throws `TypeError` when it is of another shape. */
export function readNetworks(answer: unknown): NetworkInfo[] {
  return items(answer, "networks").map((item, index) => {
    const network = fields(item, `network ${index}`);
    const pools = fields(network.IPAM ?? {}, `network ${index}: IPAM`).Config ??
      [];
    return {
      id: text(network.Id, `network ${index}: Id`),
      name: text(network.Name, `network ${index}: Name`),
      driver: text(network.Driver, `network ${index}: Driver`),
      internal: network.Internal === true,
      subnets: items(pools, `network ${index}: IPAM.Config`).map((pool) =>
        text(
          fields(pool, `network ${index}: IPAM.Config`).Subnet ?? "",
          `network ${index}: Subnet`,
        )
      ),
      labels: texts(network.Labels, `network ${index}: Labels`),
    };
  });
}

/**
 * Reads the engine's answer to `GET /containers/json`. Throws `TypeError` when it is of another
 * shape.
 */
export function readContainers(answer: unknown): ContainerInfo[] {
  return items(answer, "containers").map((item, index) => {
    const place = `container ${index}`;
    const container = fields(item, place);
    const networks = fields(container.NetworkSettings ?? {}, `${place}: NetworkSettings`)
      .Networks ?? {};
    const hostConfig = fields(
      container.HostConfig ?? {},
      `${place}: HostConfig`,
    );
    return {
      id: text(container.Id, `${place}: Id`),
      name: ownName(container, place),
      state: text(container.State, `${place}: State`),
      unhealthy: text(container.Status ?? "", `${place}: Status`).includes(
        "(unhealthy)",
      ),
      labels: texts(container.Labels, `${place}: Labels`),
      uptime: readUptime(text(container.Status ?? "", `${place}: Status`)),
      networkMode: text(hostConfig.NetworkMode ?? "", `${place}: NetworkMode`),
      addressByNetwork: new Map(
        Object.entries(fields(networks, `${place}: Networks`)).map((
          [name, endpoint],
        ) => [
          name,
          text(
            fields(endpoint ?? {}, `${place}: Networks`).IPAddress ?? "",
            `${place}: IPAddress`,
          ),
        ]),
      ),
    };
  });
}

/** The id in an answer about one object. Throws `TypeError` when there is none. */
export function readId(answer: unknown, what: string): string {
  return text(fields(answer, what).Id, `${what}: Id`);
}

/**
 * A container has a name of its own and one for each legacy link to it, `/other/alias`. A dead one,
 * whose removal failed, may have lost them all: it goes by its short id.
 */
function ownName({ Names, Id }: Fields, place: string): string {
  const own = items(Names ?? [], `${place}: Names`)
    .map((name) => text(name, `${place}: Names`).replace(/^\//, ""))
    .find((name) => !name.includes("/"));
  return own ?? text(Id, `${place}: Id`).slice(0, 12);
}

function texts(value: unknown, place: string): Map<string, string> {
  return new Map(
    Object.entries(fields(value ?? {}, place)).map((
      [key, item],
    ) => [key, text(item, place)]),
  );
}

function items(value: unknown, place: string): unknown[] {
  if (Array.isArray(value)) return value;
  throw new TypeError(`${place}: not a list`);
}

function fields(value: unknown, place: string): Fields {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Fields;
  }
  throw new TypeError(`${place}: not an object`);
}

function text(value: unknown, place: string): string {
  if (typeof value === "string") return value;
  throw new TypeError(`${place}: not a text`);
}
