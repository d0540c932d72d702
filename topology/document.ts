import { type Json, NumberToken } from "./json.ts";
import { excerpt } from "./problem.ts";

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
 * Reads a topology from its parsed document, described in docs/topology.md; ignores unknown fields.
 * Throws `TypeError`, which names the first twenty wrong shapes and counts the others.
 */
export function readTopology(document: Json): Topology {
  const errors = new ShapeErrors();
  const root = new JsonCursor(document, errors, () => "");
  const header = root.member("topology");
  const topology = {
    id: header.member("id").text(),
    name: header.member("name").optionalText() ?? "",
    lans: root.member("lans").items().map(readLan),
    deckies: root.member("deckies").items().map(readDecky),
  };
  errors.throwIfAny();
  return topology;
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
    imageByService: readImages(config.member("service_config")),
  };
}

function readImages(configs: JsonCursor): Map<string, string> {
  const images = new Map<string, string>();
  if (configs.isAbsent) return images;
  for (const [service, config] of configs.members()) {
    const image = config.isAbsent ? undefined : config.member("image").optionalText();
    if (image !== undefined) images.set(service, image);
  }
  return images;
}

const maximumNamed = 20;

/** The values of a wrong shape in a document. */
class ShapeErrors {
  readonly #named: string[] = [];
  #others = 0;

  /** Adds one; `describe` is called for the first twenty only, as a document may have thousands. */
  add(describe: () => string): void {
    if (this.#named.length < maximumNamed) this.#named.push(describe());
    else this.#others++;
  }

  /** Throws `TypeError`, which names the first twenty and counts the rest. */
  throwIfAny(): void {
    if (this.#named.length === 0) return;
    const rest = this.#others > 0 ? `; and ${this.#others} more` : "";
    throw new TypeError(`Cannot read the topology: ${this.#named.join("; ")}${rest}`);
  }
}

/**
 * A value of the document at its place. Reports a wrong shape once and then reads it as empty, so that
 * one reading finds every wrong shape.
 */
class JsonCursor {
  readonly #value: Json | undefined;
  /** Null after an error of this value or of one that contains it. */
  #errors: ShapeErrors | null;
  readonly #place: () => string;

  /** `place` is called when a wrong shape is reported: a document may have thousands of fields. */
  constructor(value: Json | undefined, errors: ShapeErrors | null, place: () => string) {
    this.#value = value;
    this.#errors = errors;
    this.#place = place;
  }

  /** Whether it is missing or null. */
  get isAbsent(): boolean {
    return this.#value === undefined || this.#value === null;
  }

  /** The string; empty when the shape is wrong. */
  text(): string {
    if (typeof this.#value === "string") return this.#value;
    this.#report("string");
    return "";
  }

  /** The string, or undefined when it is absent. */
  optionalText(): string | undefined {
    return this.isAbsent ? undefined : this.text();
  }

  /** Whether it is true; false when it is absent. */
  flag(): boolean {
    if (typeof this.#value !== "boolean" && !this.isAbsent) this.#report("true or false");
    return this.#value === true;
  }

  /** The items of a list. */
  items(): JsonCursor[] {
    if (Array.isArray(this.#value)) {
      return this.#value.map((item, index) =>
        this.#inner(item, () => `${this.#place()}[${index}]`)
      );
    }
    this.#report("array");
    return [];
  }

  /** One member of an object. */
  member(key: string): JsonCursor {
    return this.#member(key, this.#object()[key]);
  }

  /** Every member of an object. */
  members(): [key: string, cursor: JsonCursor][] {
    return Object.entries(this.#object()).map(([key, value]) => [key, this.#member(key, value)]);
  }

  #inner(value: Json | undefined, place: () => string): JsonCursor {
    return new JsonCursor(value, this.#errors, place);
  }

  #member(key: string, value: Json | undefined): JsonCursor {
    return this.#inner(value, () => [this.#place(), excerpt(key)].filter(Boolean).join("."));
  }

  #object(): { readonly [key: string]: Json } {
    const value = this.#value;
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value) &&
      !(value instanceof NumberToken);
    if (isObject) return value;
    this.#report("object");
    return {};
  }

  #report(wanted: string): void {
    this.#errors?.add(() =>
      `${this.#place() || "the document"}: expected ${wanted}, got ${shapeOf(this.#value)}`
    );
    this.#errors = null;
  }
}

function shapeOf(value: Json | undefined): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (typeof value === "string") return "string";
  if (typeof value === "boolean") return String(value);
  if (value instanceof NumberToken) return "number";
  return Array.isArray(value) ? "array" : "object";
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
