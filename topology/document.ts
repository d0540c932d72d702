import type { Json } from "./json_reader.ts";
import { Field, WrongShapes } from "./shape.ts";

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

/**
 * Reads a topology from its parsed document; unknown fields are ignored.
 * Throws `TypeError`, which names the first twenty wrong shapes by their places and counts the others.
 * The shape is in docs/topology.md.
 */
export function readTopology(document: Json): Topology {
  const wrongShapes = new WrongShapes();
  const root = Field.ofDocument(document, wrongShapes);
  const header = root.member("topology");
  const topology = {
    id: header.member("id").text(),
    name: optionalText(header.member("name")) ?? "",
    lans: root.member("lans").items().map(readLan),
    deckies: root.member("deckies").items().map(readDecky),
  };
  wrongShapes.throwIfAny();
  return topology;
}

function readLan(lan: Field): Lan {
  return {
    name: lan.member("name").text(),
    subnet: lan.member("subnet").text(),
    isDmz: lan.member("is_dmz").flag(),
  };
}

function readDecky(decky: Field): Decky {
  const name = decky.member("name").text();
  const services = decky.member("services").items().map((service) => service.text());
  const config = decky.member("decky_config");
  const addresses = config.member("ips_by_lan").members();
  return {
    name,
    services,
    addressByLan: new Map(addresses.map(([lan, address]) => [lan, address.text()])),
    forwardsL3: config.member("forwards_l3").flag(),
    imageByService: readImages(config.member("service_config")),
  };
}

function readImages(configs: Field): Map<string, string> {
  const images = new Map<string, string>();
  if (configs.isAbsent) return images;
  for (const [service, config] of configs.members()) {
    const image = config.isAbsent ? undefined : optionalText(config.member("image"));
    if (image !== undefined) images.set(service, image);
  }
  return images;
}

function optionalText(field: Field): string | undefined {
  return field.isAbsent ? undefined : field.text();
}
