import type { Json, JsonObject } from "./json.ts";
import { type JsonCursor, readShapes } from "./json_cursor.ts";

/** A LAN of the document. */
export interface Lan {
  readonly name: string;
  /** CIDR. */
  readonly subnet: string;
  readonly isDmz: boolean;
}

/** A decky of the document. */
export interface Decky {
  readonly name: string;
  readonly services: readonly string[];
  /** LAN name → IPv4 address. */
  readonly addressByLan: ReadonlyMap<string, string>;
  readonly forwardsL3: boolean;
  /** Service name → its `service_config`. */
  readonly configByService: ReadonlyMap<string, JsonObject>;
  /** Service name → image, for the services whose configuration names one. */
  readonly imageByService: ReadonlyMap<string, string>;
}

/** The part of a topology document that decides what must exist in Docker. */
export interface Topology {
  readonly id: string;
  /** Empty when the document gives none. */
  readonly name: string;
  readonly lans: readonly Lan[];
  readonly deckies: readonly Decky[];
}

/** Reads a document (docs/topology.md). Throws `TypeError` with the first 20 wrong shapes. */
export function readTopology(document: Json): Topology {
  return readShapes(document, "Cannot read the topology: ", (root) => {
    const header = root.member("topology");
    return {
      id: header.member("id").text(),
      name: header.member("name").optionalText() ?? "",
      lans: root.member("lans").items().map(readLan),
      deckies: root.member("deckies").items().map(readDecky),
    };
  });
}

function readLan(lan: JsonCursor): Lan {
  return {
    name: lan.member("name").text(),
    subnet: lan.member("subnet").text(),
    isDmz: lan.member("is_dmz").flag(),
  };
}

function readDecky(decky: JsonCursor): Decky {
  const name = decky.member("name").text();
  const services = decky.member("services").items().map((service) => service.text());
  const config = decky.member("decky_config");
  const addresses = config.member("ips_by_lan").members();
  return {
    name,
    services,
    addressByLan: new Map(addresses.map(([lan, address]) => [lan, address.text()])),
    forwardsL3: config.member("forwards_l3").flag(),
    ...readConfigs(config.member("service_config"), services),
  };
}

/** Reads the configurations of a decky's services; the document may have more. */
function readConfigs(
  configs: JsonCursor,
  services: readonly string[],
): Pick<Decky, "configByService" | "imageByService"> {
  const configByService = new Map<string, JsonObject>();
  const imageByService = new Map<string, string>();
  for (const service of configs.isAbsent ? [] : new Set(services)) {
    const config = configs.member(service);
    if (config.isAbsent) continue;
    configByService.set(service, config.object());
    const image = config.member("image").optionalText();
    if (image !== undefined) imageByService.set(service, image);
  }
  return { configByService, imageByService };
}

// No part matches in two ways, so that matching takes linear time.
const registryLabel = "[A-Za-z0-9]+(?:-+[A-Za-z0-9]+)*";
// For Docker, a first component without a dot or a port is a part of the path.
const registry = `(?:(?:localhost|${registryLabel}(?:\\.${registryLabel})+)(?::\\d+)?|` +
  `${registryLabel}:\\d+)`;
const pathComponent = "[a-z0-9]+(?:(?:\\.|__?|-+)[a-z0-9]+)*";
const digest = "sha256:[0-9a-f]{64}";
const imagePattern = new RegExp(
  `^(?:(?:${registry}/)?${pathComponent}(?:/${pathComponent})*` +
    `(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@${digest})?|${digest})$`,
);

/** Whether Docker accepts `text` as the reference of an image; at most 255 characters. */
export function isImageReference(text: string): boolean {
  return text.length <= 255 && imagePattern.test(text);
}
