import catalogue from "./services.json" with { type: "json" };
import type { Decky, Lan } from "./document.ts";
import { type Json, type JsonObject, NumberToken, parseJson, writeJson } from "./json.ts";
import { type JsonCursor, readShapes, shapeOf } from "./json_cursor.ts";

/** A port as Docker writes it: `53/udp`. */
export type Port = `${number}/${"tcp" | "udp"}`;

/** The capabilities that a service may have besides the engine's default ones. */
const allowedCapabilities = ["NET_BIND_SERVICE", "NET_RAW", "NET_ADMIN"] as const;

/** How an environment variable gets its value. */
export interface VariableFacts {
  /** The key of `service_config.<service>` that sets it; absent: the value is fixed. */
  readonly from?: string;
  /** The fixed value; with `from`, the one that is sent when the key is true. */
  readonly value?: string;
  /** Sent when the key is absent. */
  readonly default?: string;
  /** `json`: an object or a list becomes JSON text. `boolean`: only true is sent. */
  readonly as?: "json" | "boolean";
}

/** Facts about the image of a service. */
export interface ServiceFacts {
  /** What it listens on; a gateway publishes these. */
  readonly ports?: readonly Port[];
  /** More ports, for a configuration whose `key` is or contains a text. */
  readonly ports_when?: readonly {
    readonly key: string;
    readonly contains: string;
    readonly ports: readonly Port[];
  }[];
  /** By the variable's name. */
  readonly environment?: { readonly [variable: string]: VariableFacts };
  readonly capabilities?: readonly (typeof allowedCapabilities)[number][];
  /** The name of the folder on the host, and where it appears in the container. */
  readonly artifacts?: { readonly directory: string; readonly container: string };
  /** Whether it runs with `no-new-privileges`, because it was tried with its image. */
  readonly confined?: boolean;
}

/** Service name → facts. */
export type ServiceCatalogue = ReadonlyMap<string, ServiceFacts>;

const { _: _comment, ...entries } = catalogue;

/** The services of DECNET's images. */
export const builtInServices: ServiceCatalogue = new Map(
  Object.entries(entries as Record<string, ServiceFacts>),
);

/** Limit for the bytes of a value. Linux takes 128 KiB for a variable with its name. */
const maximumValueBytes = 64 << 10;

/**
 * Finds the environment of a service, sorted by name, and the keys whose values cannot be sent. Only a
 * public value, which is fixed or a default, may be shown; no fault shows a value.
 */
export function resolveEnvironment({ environment = {} }: ServiceFacts, config: JsonObject) {
  const variables: { name: string; value: string; isPublic: boolean }[] = [];
  const faults: { key: string; fault: string }[] = [];
  for (const [name, facts] of Object.entries(environment).sort(([a], [b]) => a < b ? -1 : 1)) {
    const { from: key } = facts;
    const given = key === undefined ? null : valueOf(config, key);
    let value = key === undefined ? facts.value : facts.default;
    if (given !== null) {
      const text = textOf(given, facts.as === "json");
      const fault = text === null
        ? `expected string, number, true or false, got ${shapeOf(given)}`
        : valueFault(text);
      if (fault !== null) faults.push({ key: key!, fault });
      value = sentValue(facts, text ?? undefined);
    }
    if (value !== undefined) variables.push({ name, value, isPublic: given === null });
  }
  return { variables, faults };
}

/** Returns the value of a key; null when it is absent. */
function valueOf(config: JsonObject, key: string): Json {
  return Object.hasOwn(config, key) ? config[key]! : null;
}

/** Returns what is sent for a text of the document; undefined: nothing is. */
function sentValue(
  { value, default: fallback, as }: VariableFacts,
  text: string | undefined,
): string | undefined {
  const isSwitch = as === "boolean" || value !== undefined;
  if (!isSwitch) return text;
  return text === "true" ? value ?? text : fallback;
}

/** Returns the text of a value; null when it has none. Numbers keep their digits. */
function textOf(value: Json, isJson: boolean): string | null {
  if (typeof value === "string") return value;
  if (typeof value === "boolean") return String(value);
  if (value instanceof NumberToken) return value.text;
  return isJson ? writeJson(value) : null;
}

function valueFault(text: string): string | null {
  if (text.includes("\0")) return "a NUL character cannot be in an environment variable";
  if (new TextEncoder().encode(text).length > maximumValueBytes) return "it has over 64 KiB";
  return null;
}

/** Finds the ports that a service listens on, each once. */
export function resolvePorts(
  { ports = [], ports_when = [] }: ServiceFacts,
  config: JsonObject,
): Port[] {
  const more = ports_when.flatMap(({ key, contains, ports }) => {
    const value = valueOf(config, key);
    const holds = (typeof value === "string" || Array.isArray(value)) && value.includes(contains);
    return holds ? ports : [];
  });
  return [...new Set([...ports, ...more])];
}

/** Finds the ports that a decky publishes, by number: none unless it forwards and is on the DMZ. */
export function publishedPorts(
  { services, forwardsL3, addressByLan, configByService }: Decky,
  { lans, catalogue }: { lans: readonly Lan[]; catalogue: ServiceCatalogue },
): Port[] {
  const isOnDmz = forwardsL3 && lans.some(({ isDmz, name }) => isDmz && addressByLan.has(name));
  if (!isOnDmz) return [];
  const ports = services.flatMap((service) =>
    resolvePorts(catalogue.get(service) ?? {}, configByService.get(service) ?? {})
  );
  return sortPorts(ports);
}

/** Returns ports by number and protocol, each once. */
export function sortPorts(ports: readonly Port[]): Port[] {
  return [...new Set(ports)].sort().sort((a, b) => parseInt(a) - parseInt(b));
}

/** Limit for the text of a site's own services, in characters. */
export const maximumServicesLength = 1 << 20;

/** Reads a site's services (docs/topology.md). Throws `DocumentError`, or `TypeError` with 20 faults. */
export function parseServices(text: string): ServiceCatalogue {
  if (text.length > maximumServicesLength) throw new TypeError("it has over 1 MiB");
  const read = (root: JsonCursor) =>
    root.members().filter(([name]) => name !== "_").map(([name, service]) => {
      // What a document may name: any other entry has no effect.
      if (!/^[A-Za-z0-9][\w.-]{0,62}$/.test(name)) service.report("no service can have this name");
      return [name, readService(service)] as const;
    });
  return new Map(readShapes(parseJson(text), "", read));
}

function readService(service: JsonCursor): ServiceFacts {
  service.allowOnly("ports", "ports_when", "environment", "capabilities", "artifacts", "confined");
  const [environment, artifacts] = [service.member("environment"), service.member("artifacts")];
  return {
    ports: readPorts(service.member("ports")),
    ports_when: service.member("ports_when").optionalItems().map(readPortsWhen),
    environment: environment.isAbsent ? {} : readEnvironment(environment),
    capabilities: service.member("capabilities").optionalItems()
      .map((it) => it.oneOf(allowedCapabilities)),
    ...(artifacts.isAbsent ? {} : { artifacts: readArtifacts(artifacts) }),
    confined: service.member("confined").flag(),
  };
}

function readPorts(ports: JsonCursor): Port[] {
  const isPort = (text: string) =>
    /^[1-9]\d{0,4}\/(?:tcp|udp)$/.test(text) && parseInt(text) <= 65535;
  return ports.optionalItems().map((it) => it.matching(isPort, "a port such as 53/udp") as Port);
}

function readPortsWhen(condition: JsonCursor) {
  condition.allowOnly("key", "contains", "ports");
  return {
    key: condition.member("key").text(),
    contains: condition.member("contains").text(),
    ports: readPorts(condition.member("ports")),
  };
}

function readEnvironment(environment: JsonCursor): { [variable: string]: VariableFacts } {
  return Object.fromEntries(
    environment.members().map(([name, variable]) => {
      if (["HOSTNAME", "NODE_NAME"].includes(name)) {
        variable.report("the agent sets this variable, to the decky's name");
      } else if (!/^[A-Za-z_]\w{0,127}$/.test(name)) {
        variable.report("not the name of an environment variable");
      }
      return [name, readVariable(variable)];
    }),
  );
}

function readVariable(variable: JsonCursor): VariableFacts {
  variable.allowOnly("from", "value", "default", "as");
  const facts: { -readonly [key in keyof VariableFacts]: VariableFacts[key] } = {};
  for (const key of ["from", "value", "default"] as const) {
    const member = variable.member(key);
    const text = member.optionalText();
    if (text === undefined) continue;
    const fault = valueFault(text);
    if (fault !== null) member.report(fault);
    facts[key] = text;
  }
  if (!variable.member("as").isAbsent) facts.as = variable.member("as").oneOf(["json", "boolean"]);
  if (facts.from === undefined && (facts.value === undefined || facts.as !== undefined)) {
    variable.report("needs from or value, and as only with from");
  }
  return facts;
}

function readArtifacts(artifacts: JsonCursor) {
  artifacts.allowOnly("directory", "container");
  const isFolder = (text: string) => /^[A-Za-z0-9][\w.-]*$/.test(text);
  const isPath = (text: string) => /^(?:\/(?!\.{1,2}(?:\/|$))[\w.-]+)+$/.test(text);
  return {
    directory: artifacts.member("directory").matching(isFolder, "the name of a folder"),
    container: artifacts.member("container").matching(isPath, "an absolute path"),
  };
}
