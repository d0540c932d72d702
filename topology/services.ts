import type { Decky, Lan } from "./document.ts";
import { type Json, type JsonObject, NumberToken, parseJson, writeJson } from "./json.ts";
import { JsonCursor, ShapeErrors, shapeOf } from "./json_cursor.ts";

/** A port as Docker writes it: `53/udp`. */
export type Port = `${number}/${"tcp" | "udp"}`;

const allowedCapabilities = ["NET_BIND_SERVICE", "NET_RAW", "NET_ADMIN"] as const;

/** A capability that a service may have besides the engine's default ones. */
export type Capability = (typeof allowedCapabilities)[number];

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
  readonly capabilities?: readonly Capability[];
  /** The name of the folder on the host, and where it appears in the container. */
  readonly artifacts?: { readonly directory: string; readonly container: string };
  /** Whether it runs with `no-new-privileges`, because it was tried with its image. */
  readonly confined?: boolean;
}

/** Service name → facts. */
export type ServiceCatalogue = ReadonlyMap<string, ServiceFacts>;

const webVariables = {
  CUSTOM_BODY: { from: "custom_body" },
  EXTRA_HEADERS: { from: "extra_headers", as: "json" },
  FAKE_APP: { from: "fake_app" },
  HTTP_VERSIONS: { from: "http_versions", as: "json" },
  RESPONSE_CODE: { from: "response_code" },
  SERVER_HEADER: { from: "server_header" },
} as const;
const mailVariables = {
  SMTP_BANNER: { from: "banner" },
  SMTP_MTA: { from: "mta" },
  SMTP_QUARANTINE_DIR: { value: "/var/spool/mqueue" },
} as const;
const queue = { directory: "smtp", container: "/var/spool/mqueue" };
const coreDumps = "/var/lib/systemd/coredump";

/** The services of DECNET's images. */
export const builtInServices: ServiceCatalogue = new Map(Object.entries<ServiceFacts>({
  conpot: {
    ports: ["502/tcp", "161/udp", "80/tcp"],
    environment: { CONPOT_TEMPLATE: { value: "default" } },
  },
  dns: {
    ports: ["53/tcp", "53/udp"],
    environment: {
      DNS_BIND_VERSION: {
        from: "bind_version",
        default: "9.11.4-P2-RedHat-9.11.4-26.P2.el7_9.10",
      },
      DNS_DOMAIN: { from: "domain", default: "" },
      DNS_EXTRA_RECORDS: { from: "extra_records", default: "" },
      DNS_FORWARD_BUDGET: { from: "forward_budget", default: "50" },
      DNS_FORWARD_WINDOW: { from: "forward_window", default: "1.0" },
      DNS_NSID: { from: "nsid", default: "" },
      DNS_REAL_RECURSIVE: {
        from: "real_recursive",
        value: "true",
        default: "false",
        as: "boolean",
      },
      DNS_STATE_PATH: { from: "state_path", default: "" },
      DNS_UPSTREAM: { from: "upstream", default: "8.8.8.8:53" },
      DNS_ZONE_MODE: { from: "zone_mode", default: "auth" },
    },
  },
  docker_api: { ports: ["2375/tcp", "2376/tcp"] },
  elasticsearch: { ports: ["9200/tcp"] },
  ftp: { ports: ["21/tcp"] },
  http: { ports: ["80/tcp", "443/tcp"], environment: webVariables },
  https: {
    ports: ["443/tcp"],
    ports_when: [{ key: "http_versions", contains: "http/3", ports: ["443/udp"] }],
    environment: {
      ...webVariables,
      TLS_CERT: { from: "tls_cert" },
      TLS_CN: { from: "tls_cn" },
      TLS_KEY: { from: "tls_key" },
    },
  },
  imap: { ports: ["143/tcp", "993/tcp"] },
  k8s: { ports: ["6443/tcp", "8080/tcp"] },
  ldap: { ports: ["389/tcp", "636/tcp"], capabilities: ["NET_BIND_SERVICE"] },
  llmnr: { ports: ["5355/udp", "5353/udp"] },
  mongodb: { ports: ["27017/tcp"] },
  mqtt: { ports: ["1883/tcp"] },
  mssql: { ports: ["1433/tcp"] },
  mysql: { ports: ["3306/tcp"], environment: { MYSQL_VERSION: { from: "version" } } },
  pop3: { ports: ["110/tcp", "995/tcp"] },
  postgres: { ports: ["5432/tcp"] },
  rdp: {
    ports: ["3389/tcp"],
    environment: { RDP_ENABLE_NLA: { from: "nla", value: "true", as: "boolean" } },
  },
  redis: {
    ports: ["6379/tcp"],
    environment: { REDIS_OS: { from: "os_string" }, REDIS_VERSION: { from: "version" } },
  },
  sip: { ports: ["5060/tcp", "5060/udp"] },
  smb: { ports: ["445/tcp", "139/tcp"], capabilities: ["NET_BIND_SERVICE"] },
  smtp: {
    ports: ["25/tcp", "587/tcp"],
    capabilities: ["NET_BIND_SERVICE"],
    environment: mailVariables,
    artifacts: queue,
  },
  smtp_relay: {
    ports: ["25/tcp", "587/tcp"],
    capabilities: ["NET_BIND_SERVICE"],
    environment: {
      ...mailVariables,
      SMTP_OPEN_RELAY: { value: "1" },
      SMTP_SERVICE_NAME: { value: "smtp_relay" },
    },
    artifacts: queue,
  },
  snmp: { ports: ["161/udp"] },
  ssh: {
    ports: ["22/tcp"],
    capabilities: ["NET_BIND_SERVICE"],
    environment: {
      SSH_HOSTNAME: { from: "hostname" },
      SSH_ROOT_PASSWORD: { from: "password", default: "admin" },
      SSH_USER: { from: "user", default: "ubuntu" },
      SSH_USER_PASSWORD: { from: "user_password", default: "admin" },
    },
    artifacts: { directory: "ssh", container: coreDumps },
  },
  telnet: {
    ports: ["23/tcp"],
    capabilities: ["NET_BIND_SERVICE"],
    environment: {
      TELNET_HOSTNAME: { from: "hostname" },
      TELNET_ROOT_PASSWORD: { from: "password", default: "admin" },
      TELNET_USER: { from: "user", default: "ubuntu" },
      TELNET_USER_PASSWORD: { from: "user_password", default: "admin" },
    },
    artifacts: { directory: "telnet", container: coreDumps },
  },
  tftp: { ports: ["69/udp"] },
  vnc: { ports: ["5900/tcp"] },
}));

/** An environment variable of a service's container. */
export interface Variable {
  readonly name: string;
  readonly value: string;
  /** Whether the value is fixed or a default; one from the document is never shown. */
  readonly isPublic: boolean;
}

/** A value of `service_config` that cannot be sent; its message does not show it. */
export interface ConfigFault {
  /** The key in `service_config.<service>`. */
  readonly key: string;
  readonly fault: string;
}

/** Limit for the bytes of a value. Linux takes 128 KiB for a variable with its name. */
const maximumValueBytes = 64 << 10;

/** Finds the environment of a service, sorted by name, and the values that cannot be sent. */
export function resolveEnvironment(
  { environment = {} }: ServiceFacts,
  config: JsonObject,
): { variables: Variable[]; faults: ConfigFault[] } {
  const variables: Variable[] = [];
  const faults: ConfigFault[] = [];
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

/**
 * Finds the ports that a decky publishes on the host, by number. Only a gateway publishes: a decky that
 * forwards and is on the DMZ, as Docker opens no port of an internal network.
 */
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

/**
 * Reads a site's own services, JSON of the form that docs/topology.md describes. Throws `TypeError`,
 * which names the first twenty wrong values by their places, and `DocumentError`.
 */
export function parseServices(text: string): ServiceCatalogue {
  if (text.length > maximumServicesLength) throw new TypeError("it has over 1 MiB");
  const errors = new ShapeErrors();
  const root = new JsonCursor(parseJson(text), errors, () => "");
  const services = root.members().filter(([name]) => name !== "_")
    .map(([name, service]) => {
      // What a document may name: any other entry has no effect.
      if (!/^[A-Za-z0-9][\w.-]{0,62}$/.test(name)) service.report("no service can have this name");
      return [name, readService(service)] as const;
    });
  errors.throwIfAny("");
  return new Map(services);
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
