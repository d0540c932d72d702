import type { AgentOptions } from "../agent/heartbeat.ts";
import { systemPaths } from "../host/files.ts";
import { type Level, messageOf } from "../host/log.ts";
import { DocumentError } from "../topology/json.ts";
import { builtInServices, parseServices, type ServiceCatalogue } from "../topology/services.ts";
import { type Arguments, closest, UsageError } from "./args.ts";
import {
  agentVersion,
  type KeyName,
  keyNames,
  options,
  type Value,
  variableOf,
} from "./options.ts";
import { type Environment, printLine, type Terminal } from "./terminal.ts";

/** What sets a key; lines are counted from 1. */
interface IniEntry {
  readonly key: string;
  readonly value: string;
  readonly line: number;
}

/** The ini file or the services file cannot be used. */
export class ConfigFileError extends UsageError {
  /** `line` is the one that is malformed; else null. */
  constructor(
    path: string,
    readonly reason: "absent" | "no-section" | "malformed" | "denied" | "unreadable",
    detail: string,
    readonly line: number | null = null,
  ) {
    super(`Cannot read ${path}: ${line === null ? detail : `line ${line} ${detail}`}`);
  }
}

const section = "agent";

/** Keys of the file that a master issues which set one of the agent's, unless that is set itself. */
const issuedKeys: ReadonlyMap<string, KeyName> = new Map([["swarm-syslog-port", "syslog-port"]]);

/**
 * Reads the entries of the agent's section, in order; null when there is none. Comments are lines
 * that begin with `#` or `;`. Names of sections and keys are compared ignoring case, and in keys
 * `_` is the same as `-`. Other sections are ignored. Throws `ConfigFileError` for any other line
 * and for a key that is set twice: a line ignored in silence could leave a host without its master.
 */
export function readSection(text: string, path: string): IniEntry[] | null {
  const malformed = (line: number, problem: string) =>
    new ConfigFileError(path, "malformed", problem, line);
  let entries: IniEntry[] | null = null;
  const known = new Set<string>();
  let current: string | null = null;
  for (const [index, raw] of text.split(/\r\n|\n|\r/).entries()) {
    const line = index + 1;
    // Removes a byte order mark, too.
    const content = raw.trim();
    if (content === "" || content.startsWith("#") || content.startsWith(";")) continue;
    // deno-lint-ignore no-control-regex
    if (/[\x00-\x08\ufffd]/.test(content)) throw malformed(line, "is not text");
    const header = /^\[([^\]]*)\]\s*(?:[#;].*)?$/.exec(content)?.[1];
    if (header !== undefined) {
      current = header.trim().toLowerCase();
      if (current === section) entries ??= [];
      continue;
    }
    if (current === null || raw.startsWith("[")) {
      throw malformed(line, "comes before any section: put [agent] above it");
    }
    if (current !== section || !entries) continue;
    // One pattern for the whole line would take minutes for a line of a million spaces.
    const separator = content.search(/[=:]/);
    const keyText = content.slice(0, Math.max(0, separator)).trimEnd();
    if (!keyText || /[\u2028\u2029]/.test(content)) {
      throw malformed(line, 'is neither "key = value" nor a comment');
    }
    const key = keyText.toLowerCase().replaceAll("_", "-");
    if (known.has(key)) throw malformed(line, `sets '${key}' again`);
    known.add(key);
    entries.push({ key, value: content.slice(separator + 1).trimStart(), line });
  }
  return entries;
}

/** The text of a value, and where it was set. */
export interface Source {
  readonly value: string;
  readonly kind: "flag" | "variable" | "line";
  /** In words: `--interval`, `$DECNET_INTERVAL`, or the file with the line. */
  readonly origin: string;
  /** The line in the ini file; null elsewhere. */
  readonly line: number | null;
}

/** More keys of that file: one is for `listen`, one has no effect here. */
const otherKeys: readonly string[] = ["agent-port", "updater-dir"];

/** For how many unknown keys a known one is looked for. */
const maximumAdvice = 20;

/** In place of an ini file: there is none. */
export const nullDevice = "/dev/null";

/** Returns the values of an ini file by their keys; adds a warning for each key that is unknown. */
function valuesOf(
  entries: readonly IniEntry[],
  path: string,
  problems: ConfigProblem[],
): Map<KeyName, Source> {
  const ini = new Map<KeyName, Source>();
  for (const { key, value, line } of entries) {
    const name = keyNames.find((name) => name === key) ?? issuedKeys.get(key);
    if (name === undefined && !otherKeys.includes(key)) {
      // For each of a million bytes of keys, it would take minutes.
      const advice = problems.length < maximumAdvice ? closest(key, keyNames) : null;
      const question = advice === null ? "" : `; did you mean ${advice}?`;
      const text = `${path} line ${line}: unknown key '${key}' is ignored${question}`;
      problems.push({ kind: "unknown-key", line, error: new UsageError(text) });
    } else if (name !== undefined && value !== "" && (name === key || !ini.has(name))) {
      ini.set(name, { value, kind: "line", origin: `${path} line ${line}`, line });
    }
  }
  const port = entries.find(({ key, value }) => key === "agent-port" && value !== "");
  if (port && !ini.has("listen")) {
    const { value, line } = port;
    const origin = `agent-port in ${path} line ${line}`;
    ini.set("listen", { value: `0.0.0.0:${value}`, kind: "line", origin, line });
  }
  return ini;
}

function sourceFinder(
  flags: ReadonlyMap<KeyName, string>,
  { variable }: Environment,
  ini: ReadonlyMap<KeyName, Source>,
): ConfigReading["find"] {
  // An empty variable counts as not set: unit files may list all variables.
  const findVariable = (name: string): Source | null => {
    const value = variable(name);
    return value ? { value, kind: "variable", origin: `$${name}`, line: null } : null;
  };
  return (name) => {
    const value = flags.get(name);
    if (value !== undefined) return { value, kind: "flag", origin: `--${name}`, line: null };
    return findVariable(variableOf(name)) ?? ini.get(name) ??
      (name === "docker-host" ? findVariable("DOCKER_HOST") : null);
  };
}

/** Without `isRequired`, an absent file counts as an empty one. */
function readEntries(path: string, environment: Environment, isRequired: boolean): IniEntry[] {
  // Means no file, as for other programs.
  if (path === nullDevice) return [];
  const text = readText(path, environment);
  const entries = text === null ? null : readSection(text, path);
  if (entries !== null || !isRequired) return entries ?? [];
  if (text === null) throw new ConfigFileError(path, "absent", "no such file");
  throw new ConfigFileError(path, "no-section", `no section [${section}] in it`);
}

function readText(path: string, { readFile }: Environment): string | null {
  try {
    return readFile(path);
  } catch (error) {
    const denied = "permission denied; the agent's user must be able to read it";
    throw error instanceof Deno.errors.PermissionDenied
      ? new ConfigFileError(path, "denied", denied)
      : new ConfigFileError(path, "unreadable", messageOf(error));
  }
}

/** The configuration of the agent. */
export interface Configuration {
  readonly agent: AgentOptions;
  readonly intervalMs: number;
  /** The lowest level that the running agent logs. */
  readonly logLevel: Level;
  /** Whether an apply removes another topology first. */
  readonly supersede: boolean;
  /** Where the API listens; null: it is off. */
  readonly listen: ListenOptions | null;
  /** Where the master takes the lines of the decoys; null: they are not forwarded. */
  readonly logs: { readonly host: string; readonly port: number } | null;
  /** The file for metrics; null: none are written. */
  readonly textfile: string | null;
  /** Problems that do not stop the agent, such as an unknown key. */
  readonly warnings: readonly string[];
}

/** Where the API listens, and for whom. */
export interface ListenOptions {
  readonly host: string;
  readonly port: number;
  /** Common names of the client certificates that are allowed. */
  readonly allowedNames: readonly string[];
}

/** Something that is wrong with the configuration; only an unknown key does not stop the agent. */
export type ConfigProblem =
  & { readonly error: UsageError }
  & (
    | { readonly kind: "unknown-key"; readonly line: number }
    | { readonly kind: "file"; readonly error: ConfigFileError }
    | { readonly kind: "value"; readonly key: KeyName; readonly source: Source }
    /** The services file at `path`. */
    | { readonly kind: "services"; readonly path: string }
    /** A key that others need; `fix` says what it must be set to. */
    | { readonly kind: "missing"; readonly key: KeyName; readonly fix: string }
  );

/** The configuration as far as it can be used, and what is wrong with it. */
export interface ConfigReading {
  readonly configuration: Omit<Configuration, "warnings">;
  readonly problems: readonly ConfigProblem[];
  /** Returns what sets a key, with the highest precedence; null where nothing does. */
  readonly find: (name: KeyName) => Source | null;
}

type Get = <Name extends KeyName>(name: Name) => Value<Name> | null;

/** Like `configure()`, for a command line; prints the warnings. */
export function configureAndWarn(
  { values, config }: Pick<Arguments, "values" | "config">,
  terminal: Terminal,
): Configuration {
  const configuration = configure(values, config, terminal);
  for (const warning of configuration.warnings) printLine(terminal, warning);
  return configuration;
}

/**
 * Puts the configuration together. Precedence: flag, variable, ini file, default.
 * Throws `UsageError`, which names the key, the value and what is allowed.
 */
export function configure(
  flags: ReadonlyMap<KeyName, string>,
  configFile: string | null,
  environment: Environment,
): Configuration {
  const { configuration, problems } = readConfiguration(flags, configFile, environment);
  const serious = problems.find(({ kind }) => kind !== "unknown-key");
  if (serious) throw serious.error;
  return { ...configuration, warnings: problems.map(({ error }) => error.message) };
}

/** Reads flags, variables and the ini file, and collects what is wrong. */
export function readConfiguration(
  flags: ReadonlyMap<KeyName, string>,
  configFile: string | null,
  environment: Environment,
): ConfigReading {
  const path = configFile ?? systemPaths.config;
  const problems: ConfigProblem[] = [];
  let entries: IniEntry[] = [];
  try {
    entries = readEntries(path, environment, configFile !== null);
  } catch (error) {
    if (!(error instanceof ConfigFileError)) throw error;
    problems.push({ kind: "file", error });
  }
  const find = sourceFinder(flags, environment, valuesOf(entries, path, problems));
  const get: Get = <Name extends KeyName>(key: Name) => {
    const source = find(key);
    if (!source) return null;
    const { parse, allowed } = options[key];
    const value = parse(source.value);
    if (value === null) {
      const text = `${key}: '${source.value}' (from ${source.origin}) must be ${allowed}`;
      problems.push({ kind: "value", key, source, error: new UsageError(text) });
    }
    return value as Value<Name> | null;
  };
  const configuration = assemble(get, environment, problems);
  problems.push(...missingKeys(configuration.agent, find));
  return { configuration, problems, find };
}

function missingKeys(
  { master, hostUuid }: AgentOptions,
  find: ConfigReading["find"],
): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const add = (key: KeyName, why: string, what: string) => {
    const error = new UsageError(`${key}: ${why}; it is ${what}`);
    problems.push({ kind: "missing", key, fix: `set ${key} to ${what}`, error });
  };
  if (master !== null && hostUuid === null) {
    add("host-uuid", "required with master-host, but not set", "the id of this host at the master");
  }
  if (find("forward-logs")?.value !== "true") return problems;
  const why = "required with forward-logs, but not set";
  if (!find("master-host")) add("master-host", why, "the master");
  if (!find("syslog-port")) add("syslog-port", why, "the port of the master's log listener");
  return problems;
}

function assemble(
  get: Get,
  environment: Environment,
  problems: ConfigProblem[],
): ConfigReading["configuration"] {
  const getOrDefault = <Name extends KeyName>(name: Name) =>
    get(name) ?? options[name].default as Value<Name>;
  // Each key is read, also where it has no effect, so that a wrong value is always refused.
  const host = get("master-host");
  const port = getOrDefault("swarmctl-port");
  const name = get("master-name");
  const fingerprint = get("master-fingerprint");
  const services = get("services");
  const publish = getOrDefault("publish");
  const listen = get("listen");
  const allowedNames = getOrDefault("allowed-cn");
  const syslogPort = get("syslog-port");
  const isForwarding = get("forward-logs") ?? true;
  return {
    agent: {
      agentVersion,
      hostUuid: get("host-uuid"),
      master: host === null ? null : { host, port, name, fingerprint },
      agentDirectory: get("agent-dir") ?? defaultAgentDirectory(environment),
      storePath: `${get("state-dir") ?? defaultStateDirectory(environment)}/topology.db`,
      sockets: dockerSockets(get("docker-host"), environment),
      networkPrefixes: getOrDefault("network-prefix"),
      containerPrefixes: getOrDefault("container-prefix"),
      planOptions: {
        images: { ...getOrDefault("service-image"), base: getOrDefault("base-image") },
        services: services === null
          ? builtInServices
          : readServices(services, environment, problems),
        publish: publish === "off" ? null : publish,
        artifactsDirectory: get("artifacts-dir"),
      },
    },
    intervalMs: getOrDefault("interval"),
    logLevel: getOrDefault("log-level"),
    supersede: getOrDefault("supersede"),
    listen: listen === null || listen === "off" ? null : { ...listen, allowedNames },
    logs: isForwarding && host !== null && syslogPort !== null ? { host, port: syslogPort } : null,
    textfile: get("textfile"),
  };
}

function readServices(
  path: string,
  environment: Environment,
  problems: ConfigProblem[],
): ServiceCatalogue {
  try {
    const text = readText(path, environment);
    if (text === null) throw new ConfigFileError(path, "absent", "no such file");
    return new Map([...builtInServices, ...parseServices(text)]);
  } catch (cause) {
    const detail = cause instanceof DocumentError ? cause.reason : (cause as Error).message;
    const error = cause instanceof ConfigFileError
      ? cause
      : new ConfigFileError(path, "malformed", detail);
    problems.push({ kind: "services", path, error });
    return builtInServices;
  }
}

function defaultAgentDirectory({ exists, variable }: Environment): string {
  const home = variable("HOME") ?? "";
  return exists(systemPaths.certificates) ? systemPaths.certificates : `${home}/.decnet/agent`;
}

function defaultStateDirectory({ exists, isRoot, variable }: Environment): string {
  // systemd separates several folders by colons.
  const granted = variable("STATE_DIRECTORY")?.split(":")[0];
  if (granted) return granted;
  if (isRoot || exists(systemPaths.state)) return systemPaths.state;
  const home = absolute(variable("XDG_STATE_HOME")) ?? `${variable("HOME") ?? ""}/.local/state`;
  return `${home}/decnet-agent`;
}

function dockerSockets(configured: string | null, environment: Environment): readonly string[] {
  if (configured !== null) return [configured];
  const runtimeDirectory = absolute(environment.variable("XDG_RUNTIME_DIR"));
  const ofUser = (name: string) => runtimeDirectory ? [`${runtimeDirectory}/${name}`] : [];
  return [
    "/var/run/docker.sock",
    ...ofUser("docker.sock"),
    "/run/podman/podman.sock",
    ...ofUser("podman/podman.sock"),
  ];
}

/** Ignores a folder that is not absolute, as the XDG specification demands. */
function absolute(folder: string | undefined): string | null {
  return folder?.startsWith("/") ? folder : null;
}
