import type { AgentOptions } from "../agent/mod.ts";
import { defaultImages } from "../topology/mod.ts";
import { UsageError } from "./arguments.ts";
import { type KeyName, keys } from "./keys.ts";
import { readSources, type Source, type Surroundings, textOf } from "./sources.ts";

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
  surroundings: Surroundings,
): Configuration {
  const { find, warnings } = readSources(flags, configFile, surroundings);
  const get: Get = (name) => {
    const source = find(name);
    return source && valueOf(name, source);
  };
  const configuration = assemble(get, surroundings);
  if (configuration.agent.master !== null && configuration.agent.hostUuid === null) {
    throw new UsageError(noHostUuid);
  }
  return { ...configuration, warnings: warnings.map(({ text }) => text) };
}

/** What a configuration lacks that has a master and no id for this host. */
export const noHostUuid =
  "host-uuid: required with master-host, but not set; it is this host's id at the master";

/** The configuration that `get` has the values for; the rest are defaults. */
export function assemble(get: Get, surroundings: Surroundings): Omit<Configuration, "warnings"> {
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
      agentDirectory: get("agent-dir") ?? defaultAgentDirectory(surroundings),
      storePath: `${get("state-dir") ?? defaultStateDirectory(surroundings)}/topology.db`,
      sockets: dockerSockets(get("docker-host"), surroundings),
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

function defaultAgentDirectory({ exists, variable }: Surroundings): string {
  const system = "/etc/decnet/agent";
  return exists(system) ? system : `${variable("HOME") ?? ""}/.decnet/agent`;
}

function defaultStateDirectory({ exists, isRoot, variable }: Surroundings): string {
  // systemd lists several, separated by colons, when a unit asks for several.
  const granted = variable("STATE_DIRECTORY")?.split(":")[0];
  if (granted) return granted;
  const system = "/var/lib/decnet-agent";
  if (isRoot || exists(system)) return system;
  const home = absolute(variable("XDG_STATE_HOME")) ?? `${variable("HOME") ?? ""}/.local/state`;
  return `${home}/decnet-agent`;
}

function dockerSockets(configured: string | null, surroundings: Surroundings): readonly string[] {
  if (configured !== null) return [configured];
  const runtimeDirectory = absolute(surroundings.variable("XDG_RUNTIME_DIR"));
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
