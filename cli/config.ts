import type { AgentOptions } from "../agent/heartbeat.ts";
import { defaultImages } from "../topology/plan.ts";
import { UsageError } from "./args.ts";
import { type KeyName, keyNames, keys, variableOf } from "./options.ts";
import type { Environment } from "./terminal.ts";

/** A line of an ini file that sets something. */
interface IniEntry {
  readonly key: string;
  readonly value: string;
  /** Counted from 1. */
  readonly line: number;
}

/**
 * The entries of one section, in order, or null when there is no such section. Comments are lines
 * that begin with `#` or `;`; names of sections and keys are compared ignoring case, and in keys `_`
 * is the same as `-`; other sections are not looked into.
 * Throws `SyntaxError`, which names the line, when the section holds something else, or a key twice:
 * a line that is passed over in silence would leave a host unheard of.
 */
export function readSection(text: string, section: string): IniEntry[] | null {
  let entries: IniEntry[] | null = null;
  const known = new Set<string>();
  let current: string | null = null;
  for (const [index, raw] of text.split(/\r\n|\n|\r/).entries()) {
    // This takes off a byte order mark, too.
    const content = raw.trim();
    if (content === "" || content.startsWith("#") || content.startsWith(";")) continue;
    // deno-lint-ignore no-control-regex
    if (/[\x00-\x08\ufffd]/.test(content)) throw new SyntaxError(`line ${index + 1} is not text`);
    const header = /^\[([^\]]*)\]\s*(?:[#;].*)?$/.exec(content)?.[1];
    if (header !== undefined) {
      current = header.trim().toLowerCase();
      if (current === section) entries ??= [];
      continue;
    }
    if (current === null || raw.startsWith("[")) {
      throw new SyntaxError(`line ${index + 1} is neither a [section] nor in one`);
    }
    if (current !== section || !entries) continue;
    // Not by one pattern for all of it, which would take minutes for a line of a million spaces.
    const mark = content.search(/[=:]/);
    const written = content.slice(0, Math.max(0, mark)).trimEnd();
    if (!written || /[\u2028\u2029]/.test(content)) {
      throw new SyntaxError(`line ${index + 1} is neither "key = value" nor a comment`);
    }
    const key = written.toLowerCase().replaceAll("_", "-");
    if (known.has(key)) {
      throw new SyntaxError(`line ${index + 1} sets '${key}' for the second time`);
    }
    known.add(key);
    entries.push({ key, value: content.slice(mark + 1).trimStart(), line: index + 1 });
  }
  return entries;
}

/** The ini file that is read unless `--config` names another. */
export const defaultFile = "/etc/decnet/decnet.ini";
const section = "agent";

/** Where a value comes from. */
type Origin =
  | { readonly kind: "flag"; readonly flag: string }
  | { readonly kind: "variable"; readonly variable: string }
  | { readonly kind: "line"; readonly path: string; readonly line: number };

/** A value as it was given, and by what. */
export interface Source {
  readonly value: string;
  readonly origin: Origin;
}

/** A line of the ini file that sets nothing. */
interface IniWarning {
  readonly text: string;
  readonly line: number;
}

/** All that is set, valid or not. */
export interface Sources {
  /** What counts for a key, or null where it is not set. */
  readonly find: (name: KeyName) => Source | null;
  readonly warnings: readonly IniWarning[];
}

/** An origin, for messages. */
export function textOf(origin: Origin): string {
  switch (origin.kind) {
    case "flag":
      return origin.flag;
    case "variable":
      return `$${origin.variable}`;
    case "line":
      return `${origin.path} line ${origin.line}`;
  }
}

/**
 * Finds what flags, variables and the ini file set; the first of them counts. Throws `UsageError` when
 * the ini file cannot be read.
 */
export function readSources(
  flags: ReadonlyMap<KeyName, string>,
  configFile: string | null,
  environment: Environment,
): Sources {
  const warnings: IniWarning[] = [];
  const ini = readIni(configFile, environment, warnings);
  return { find: sourceFinder(flags, environment, ini), warnings };
}

/** Tells for each key what sets it: a flag, a variable, or what is in `ini`. */
export function sourceFinder(
  flags: ReadonlyMap<KeyName, string>,
  environment: Environment,
  ini: ReadonlyMap<KeyName, Source>,
): Sources["find"] {
  return (name) =>
    flagSource(flags, name) ?? variableSource(environment, variableOf(name)) ?? ini.get(name) ??
      (name === "docker-host" ? variableSource(environment, "DOCKER_HOST") : null);
}

function flagSource(flags: ReadonlyMap<KeyName, string>, name: KeyName): Source | null {
  const value = flags.get(name);
  return value === undefined ? null : { value, origin: { kind: "flag", flag: `--${name}` } };
}

/** An empty variable counts as unset, as in a unit file that lists what can be set. */
function variableSource({ variable }: Environment, name: string): Source | null {
  const value = variable(name);
  return value ? { value, origin: { kind: "variable", variable: name } } : null;
}

function readIni(
  configFile: string | null,
  { readFile }: Environment,
  warnings: IniWarning[],
): Map<KeyName, Source> {
  const path = configFile ?? defaultFile;
  const sources = new Map<KeyName, Source>();
  for (const { key, value, line } of readEntries(path, readFile, configFile !== null)) {
    const name = keyNames.find((name) => name === key);
    if (name === undefined) {
      warnings.push({ text: `${path} line ${line}: unknown key '${key}' is ignored`, line });
    } else if (value !== "") sources.set(name, { value, origin: { kind: "line", path, line } });
  }
  return sources;
}

function readEntries(
  path: string,
  readFile: Environment["readFile"],
  isRequired: boolean,
): IniEntry[] {
  try {
    const text = readFile(path);
    if (text === null && isRequired) throw new Error("no such file");
    const entries = readSection(text ?? "", section);
    if (entries === null && isRequired) throw new Error(`no section [${section}] in it`);
    return entries ?? [];
  } catch (cause) {
    throw new UsageError(`Cannot read ${path}: ${explain(cause)}`, { cause });
  }
}

function explain(error: unknown): string {
  if (error instanceof Deno.errors.PermissionDenied) {
    return "permission denied; let the agent's user read it";
  }
  return (error as Error).message;
}

/** What the agent runs with. */
export interface Configuration {
  readonly agent: Omit<AgentOptions, "agentVersion">;
  readonly intervalMs: number;
  /** Whether another topology is torn down when one is applied. */
  readonly supersede: boolean;
  /** Where the master may push to, and who may; null: nowhere. */
  readonly listen: ListenOptions | null;
  /** Where metrics are written to; null: nowhere. */
  readonly textfile: string | null;
  /** What an operator should look at, though it stops nothing. */
  readonly warnings: readonly string[];
}

/** Where the API listens. */
export interface ListenOptions {
  readonly host: string;
  readonly port: number;
  /** Common names of those who may call it. */
  readonly allowedNames: readonly string[];
}

type Value<Name extends KeyName> = NonNullable<ReturnType<(typeof keys)[Name]["parse"]>>;

/** Answers the value of a key, or null where it is not set. */
export type Get = <Name extends KeyName>(name: Name) => Value<Name> | null;

/**
 * Puts the configuration together: the first of flag, variable, ini file and default wins.
 * Throws `UsageError`, which names the key, the value and what is allowed.
 */
export function configure(
  flags: ReadonlyMap<KeyName, string>,
  configFile: string | null,
  environment: Environment,
): Configuration {
  const { find, warnings } = readSources(flags, configFile, environment);
  const get: Get = (name) => {
    const source = find(name);
    return source && valueOf(name, source);
  };
  const configuration = assemble(get, environment);
  if (configuration.agent.master !== null && configuration.agent.hostUuid === null) {
    throw new UsageError(noHostUuid);
  }
  return { ...configuration, warnings: warnings.map(({ text }) => text) };
}

/** What a configuration lacks that has a master and no id for this host. */
export const noHostUuid =
  "host-uuid: required with master-host, but not set; it is this host's id at the master";

/** The configuration that `get` has the values for; the rest are defaults. */
export function assemble(get: Get, environment: Environment): Omit<Configuration, "warnings"> {
  const masterHost = get("master-host");
  const port = get("swarmctl-port") ?? 8770;
  const masterName = get("master-name");
  const fingerprint = get("master-fingerprint");
  const hostUuid = get("host-uuid");
  const listen = get("listen");
  const allowedNames = get("allowed-cn") ?? ["decnet-master"];
  return {
    agent: {
      hostUuid,
      master: masterHost === null ? null : {
        host: masterHost,
        port,
        name: masterName ?? masterHost,
        fingerprint,
      },
      agentDirectory: get("agent-dir") ?? defaultAgentDirectory(environment),
      storePath: `${get("state-dir") ?? defaultStateDirectory(environment)}/topology.db`,
      sockets: dockerSockets(get("docker-host"), environment),
      networkPrefixes: get("network-prefix") ?? ["decnet-topology-", "decnet_t_"],
      containerPrefixes: get("container-prefix") ?? ["decnet-", "decnet_t_"],
      images: {
        ...defaultImages,
        ...get("service-image"),
        base: get("base-image") ?? defaultImages.base,
      },
    },
    intervalMs: get("interval") ?? 30_000,
    supersede: get("supersede") ?? false,
    listen: listen && { ...listen, allowedNames },
    textfile: get("textfile"),
  };
}

/** The value of a key. Throws `UsageError` for what is none. */
export function valueOf<Name extends KeyName>(name: Name, { value, origin }: Source): Value<Name> {
  const { parse, allowed } = keys[name];
  const parsed = parse(value);
  if (parsed !== null) return parsed as Value<Name>;
  throw new UsageError(`${name}: '${value}' (from ${textOf(origin)}) must be ${allowed}`);
}

function defaultAgentDirectory({ exists, variable }: Environment): string {
  const system = "/etc/decnet/agent";
  return exists(system) ? system : `${variable("HOME") ?? ""}/.decnet/agent`;
}

function defaultStateDirectory({ exists, isRoot, variable }: Environment): string {
  // systemd lists several, separated by colons, when a unit asks for several.
  const granted = variable("STATE_DIRECTORY")?.split(":")[0];
  if (granted) return granted;
  const system = "/var/lib/decnet-agent";
  if (isRoot || exists(system)) return system;
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

/** The rules of XDG: a folder that is not absolute counts as not given. */
function absolute(folder: string | undefined): string | null {
  return folder?.startsWith("/") ? folder : null;
}
