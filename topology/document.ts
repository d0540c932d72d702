import { NumberToken, parseJson } from "./json.ts";

/** A LAN as the plan needs it. */
export interface Lan {
  readonly name: string;
  /** CIDR. */
  readonly subnet: string;
  readonly isDmz: boolean;
}

/** A decky as the plan needs it. */
export interface Decky {
  readonly name: string;
  readonly services: readonly string[];
  /** LAN name → IPv4 address. */
  readonly addressByLan: ReadonlyMap<string, string>;
}

/** The part of a topology document that decides what must exist in Docker. */
export interface Topology {
  readonly id: string;
  readonly lans: readonly Lan[];
  readonly deckies: readonly Decky[];
}

/**
 * Reads a topology from its JSON text; unknown fields are ignored.
 * Throws `SyntaxError` when the text is not JSON and `TypeError`, which names the place, when a field
 * has the wrong shape. The shape is in docs/protocol.md.
 */
export function readTopology(text: string): Topology {
  const root = record(parseJson(text), "document");
  return {
    id: string(record(root.topology, "topology").id, "topology.id"),
    lans: list(root.lans, "lans").map((item, index) => {
      const place = `lans[${index}]`;
      const lan = record(item, place);
      return {
        name: string(lan.name, `${place}.name`),
        subnet: string(lan.subnet, `${place}.subnet`),
        isDmz: lan.is_dmz === true,
      };
    }),
    deckies: list(root.deckies, "deckies").map((item, index) =>
      readDecky(item, `deckies[${index}]`)
    ),
  };
}

function readDecky(item: unknown, place: string): Decky {
  const decky = record(item, place);
  const config = record(decky.decky_config, `${place}.decky_config`);
  const addressPlace = `${place}.decky_config.ips_by_lan`;
  const addresses = Object.entries(record(config.ips_by_lan, addressPlace));
  return {
    name: string(decky.name, `${place}.name`),
    services: list(decky.services, `${place}.services`).map((service, index) =>
      string(service, `${place}.services[${index}]`)
    ),
    addressByLan: new Map(
      addresses.map((
        [lan, address],
      ) => [lan, string(address, `${addressPlace}.${lan}`)]),
    ),
  };
}

function record(value: unknown, place: string): Record<string, unknown> {
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value) &&
    !(value instanceof NumberToken);
  if (isObject) return value as Record<string, unknown>;
  throw wrongShape(place, "an object", value);
}

function list(value: unknown, place: string): unknown[] {
  if (Array.isArray(value)) return value;
  throw wrongShape(place, "a list", value);
}

function string(value: unknown, place: string): string {
  if (typeof value === "string") return value;
  throw wrongShape(place, "a text", value);
}

function wrongShape(place: string, wanted: string, value: unknown): TypeError {
  return new TypeError(
    `Cannot read the topology: ${place} must be ${wanted}, but is ${nameOf(value)}`,
  );
}

function nameOf(value: unknown): string {
  if (value === undefined) return "missing";
  if (value === null) return "null";
  if (value instanceof NumberToken) return "a number";
  return Array.isArray(value) ? "a list" : typeof value;
}
