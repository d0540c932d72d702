import {
  type ContainerInfo,
  type Inventory,
  isRunning,
  type NetworkInfo,
  topologyLabel,
} from "../topology/inventory.ts";
import { compareCodePoints } from "../topology/json.ts";
import { EngineError, parseAnswer, readFailure } from "./errors.ts";
import {
  callName,
  EngineConnection,
  type EngineRequest,
  type EngineResponse,
  type TimeoutSet,
} from "./http.ts";
import { readContainers, readNetworks } from "./lists.ts";

/** The longest path that the kernel accepts for a socket, in bytes. */
const maximumPathBytes = 107;

/**
 * The path of a `unix://` address; null for every other address, as the agent speaks only to the
 * engine of its own host, and for a path that is too long for a socket.
 */
export function socketPath(address: string): string | null {
  const path = /^unix:\/\/(\/[^\0]+)$/.exec(address)?.[1];
  if (path === undefined || new TextEncoder().encode(path).length > maximumPathBytes) return null;
  return path;
}

/** The first of `paths` that exists. Throws `Error`, naming them all, when none does. */
export function findSocket(paths: readonly string[]): string {
  if (paths.length === 1) return paths[0]!;
  const found = paths.find((path) => {
    try {
      Deno.statSync(path);
      return true;
    } catch (error) {
      // A path in a closed folder counts as present: connecting to it shows what is wrong.
      return error instanceof Deno.errors.PermissionDenied;
    }
  });
  if (found !== undefined) return found;
  throw new Error(
    `Cannot find Docker: none of ${paths.join(", ")} exists; start the engine, or set docker-host`,
  );
}

/** Name prefixes of the networks and containers that the agent manages even without a label. */
export interface Prefixes {
  readonly networkPrefixes: readonly string[];
  readonly containerPrefixes: readonly string[];
}

/** Whether a name begins with one of the prefixes. */
export function hasPrefix(name: string, prefixes: readonly string[]): boolean {
  return prefixes.some((prefix) => name.startsWith(prefix));
}

function isLabelled({ labels }: NetworkInfo | ContainerInfo): boolean {
  return labels.has(topologyLabel);
}

/** The objects that the agent manages, by their label or a prefix of their name. */
export function selectManaged(
  { networks, containers }: Inventory,
  { networkPrefixes, containerPrefixes }: Prefixes,
): Inventory {
  return {
    networks: networks.filter((it) => isLabelled(it) || hasPrefix(it.name, networkPrefixes)),
    containers: containers.filter((it) => isLabelled(it) || hasPrefix(it.name, containerPrefixes)),
  };
}

/** Lists all networks. */
export const listNetworks: EngineRequest = { method: "GET", path: "/networks" };

/** Lists all containers, or those that pass the engine's filters. */
export function listContainers(filters?: Readonly<Record<string, readonly string[]>>) {
  const query = filters ? `&filters=${encodeURIComponent(JSON.stringify(filters))}` : "";
  return { method: "GET", path: `/containers/json?all=1${query}` } as const;
}

/**
 * Lists the containers that a prefix or the label makes ours. Filters of two kinds cannot be
 * alternatives, so these are two calls; the engine may list more than `selectManaged` takes.
 */
function listManagedContainers(prefixes: readonly string[]): EngineRequest[] {
  const byLabel = listContainers({ label: [topologyLabel] });
  if (prefixes.length === 0) return [byLabel];
  // Docker looks for the expression in names with their slash, Podman in names without.
  const starts = prefixes.map((prefix) => prefix.replace(/\W/g, "\\$&")).join("|");
  return [listContainers({ name: [`^/?(?:${starts})`] }), byLabel];
}

/** Which engine to ask, which of its objects are ours, and how long it may take. */
export interface ObserveOptions extends Prefixes {
  /** The path of the engine's socket. */
  readonly socket: string;
  /** Shared by observations that follow one another fast, so that timeouts do not pile up. */
  readonly timeouts?: TimeoutSet;
  /** Called when the engine has been asked, and has not answered yet. */
  readonly onAsked?: () => void;
  /** Limit for each call. */
  readonly callTimeoutMs?: number;
  /** Limit for the whole observation. */
  readonly timeoutMs?: number;
}

/** What the engine says about itself in the headers of an answer. */
export interface EngineVersion {
  readonly version: string | null;
  readonly apiVersion: string | null;
  /** The time that the lists took, in milliseconds. */
  readonly latencyMs: number;
}

/** What runs on the host; both lists of names are sorted by code point. */
export interface Observation {
  /** Names of our bridge networks. */
  readonly bridges: readonly string[];
  /** Names of our containers that run. */
  readonly containers: readonly string[];
  readonly inventory: Inventory;
  readonly engine: EngineVersion;
}

/**
 * Lists our networks and containers, on one connection. It inspects no single object, as that would
 * race with what changes meanwhile. Throws `EngineError` when a call fails.
 */
export async function observe(signal: AbortSignal, options: ObserveOptions): Promise<Observation> {
  const { socket, timeouts } = options;
  const startedAt = performance.now();
  try {
    const connection = await EngineConnection.open(socket, signal, timeouts);
    try {
      const { headers, ...listed } = await list(connection, options);
      const inventory = selectManaged(listed, options);
      const bridges = inventory.networks.filter((it) => isLabelled(it) || it.driver === "bridge");
      return {
        bridges: sortedNames(bridges),
        containers: sortedNames(inventory.containers.filter(isRunning)),
        inventory,
        engine: readVersion(headers, performance.now() - startedAt),
      };
    } finally {
      connection.close();
    }
  } catch (cause) {
    throw new EngineError(readFailure(cause), `Cannot observe Docker at ${socket}`, { cause });
  }
}

/** All networks, the containers that may be ours, and the headers of the first answer. */
async function list(
  connection: EngineConnection,
  { containerPrefixes, onAsked, callTimeoutMs = 5_000, timeoutMs = 8_000 }: ObserveOptions,
): Promise<Inventory & Pick<EngineResponse, "headers">> {
  const receive = async (call: EngineRequest) => {
    const stopTimeout = connection.abortAfter(callTimeoutMs);
    const { headers, ...answer } = await connection.receive();
    stopTimeout();
    return { headers, content: parseAnswer(answer, callName(call)) };
  };
  connection.abortAfter(timeoutMs);
  const containerCalls = listManagedContainers(containerPrefixes);
  await connection.send([listNetworks, ...containerCalls]);
  onAsked?.();
  const { headers, content } = await receive(listNetworks);
  const networks = readNetworks(content);
  const containerById = new Map<string, ContainerInfo>();
  for (const call of containerCalls) {
    // Most containers are in both lists; reading them twice would slow a check down.
    const { content } = await receive(call);
    for (const container of readContainers(content, containerById)) {
      containerById.set(container.id, container);
    }
  }
  return { headers, networks, containers: [...containerById.values()] };
}

function readVersion(headers: EngineResponse["headers"], latencyMs: number): EngineVersion {
  return {
    version: /^[^/]+\/(\S+)/.exec(headers.get("server") ?? "")?.[1] ?? null,
    apiVersion: headers.get("api-version") ?? null,
    latencyMs,
  };
}

function sortedNames(objects: readonly { readonly name: string }[]): string[] {
  return [...new Set(objects.map(({ name }) => name))].sort(compareCodePoints);
}
