import {
  type ContainerInfo,
  type Inventory,
  isRunning,
  type NetworkInfo,
  topologyLabel,
} from "../topology/inventory.ts";
import type { HttpResponse } from "../host/http.ts";
import type { Log } from "../host/log.ts";
import { TimeoutSet } from "../host/timeouts.ts";
import type { Port } from "../topology/services.ts";
import { compareCodePoints } from "../topology/json.ts";
import { checkStatus, EngineError, parseAnswer, readFailure } from "./errors.ts";
import { callName, EngineConnection, type EngineRequest } from "./http.ts";
import { readContainers, readNetworks } from "./lists.ts";

/** The kernel's limit for the path of a socket, in bytes. */
const maximumPathBytes = 107;

/** Returns the path of a `unix://` address; null for others, and for one that is too long. */
export function socketPath(address: string): string | null {
  const path = /^unix:\/\/(\/[^\0]+)$/.exec(address)?.[1];
  if (path === undefined || new TextEncoder().encode(path).length > maximumPathBytes) return null;
  return path;
}

/**
 * Returns the first of `paths` that exists and may be opened, or the only one. Passes over no path for
 * another reason: a second engine must not take the place of one that hangs. Throws `Error`.
 */
export function findSocket(paths: readonly string[]): string {
  if (paths.length === 1) return paths[0]!;
  const possible = paths.find((it) => accessTo(it) === "possible");
  if (possible !== undefined) return possible;
  const forbidden = paths.filter((it) => accessTo(it) === "forbidden");
  const absent = paths.filter((it) => !forbidden.includes(it));
  const reason = forbidden.length === 0
    ? `none of ${paths.join(", ")} exists; start the engine, or set docker-host`
    : `permission denied for ${
      forbidden.join(", ")
    }; run as root, or as a member of the socket's group`;
  const others = forbidden.length > 0 && absent.length > 0 ? `; no ${absent.join(", no ")}` : "";
  throw new Error(`Cannot find Docker: ${reason}${others}`);
}

/** Whether there is something at `path`, and whether this process may connect to it. */
export function accessTo(path: string): "possible" | "absent" | "forbidden" {
  try {
    const { isSocket } = Deno.statSync(path);
    if (!isSocket) return "possible";
  } catch (error) {
    return error instanceof Deno.errors.PermissionDenied ? "forbidden" : "absent";
  }
  try {
    // Connecting needs the same permission. The kernel opens no socket, but refuses for this first.
    Deno.openSync(path, { write: true }).close();
  } catch (error) {
    if (error instanceof Deno.errors.PermissionDenied) return "forbidden";
  }
  return "possible";
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

/** Selects the objects that the agent manages, by their label or a prefix of their name. */
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

/** Returns two calls, as engines combine filters with "and"; they may list more than managed. */
function listManagedContainers(prefixes: readonly string[]): EngineRequest[] {
  const byLabel = listContainers({ label: [topologyLabel] });
  if (prefixes.length === 0) return [byLabel];
  // Docker matches names with their slash, Podman without.
  const starts = prefixes.map((prefix) => prefix.replace(/\W/g, "\\$&")).join("|");
  return [listContainers({ name: [`^/?(?:${starts})`] }), byLabel];
}

/** The engine, the prefixes of managed objects, and limits. */
export interface ObserveOptions extends Prefixes {
  /** The path of the engine's socket. */
  readonly socket: string;
  /** Shared by observations in quick succession, so that timeouts do not accumulate. */
  readonly timeouts?: TimeoutSet;
  readonly log?: Log | undefined;
  /** Called when the requests are sent, before any answer. */
  readonly onAsked?: () => void;
  /** Limit for each call, in milliseconds. */
  readonly callTimeoutMs?: number;
  /** Limit for the whole observation, in milliseconds. */
  readonly timeoutMs?: number;
}

/** The engine's version, from the headers of an answer. */
export interface EngineVersion {
  readonly version: string | null;
  readonly apiVersion: string | null;
  /** Time for all lists, in milliseconds. */
  readonly latencyMs: number;
}

/** The managed objects on the host; both lists of names are sorted by code point. */
export interface Observation {
  /** Names of managed networks: bridges, and any with the label. */
  readonly bridges: readonly string[];
  /** Names of managed containers that run. */
  readonly containers: readonly string[];
  /** Container name → the ports of the host that it publishes. */
  readonly published: ReadonlyMap<string, readonly Port[]>;
  readonly inventory: Inventory;
  readonly engine: EngineVersion;
}

/** Lists what is managed; inspects no object, as it may be removed. Throws `EngineError`. */
export async function observe(signal: AbortSignal, options: ObserveOptions): Promise<Observation> {
  const { socket } = options;
  const startedAt = performance.now();
  try {
    const { headers, ...listed } = await list(signal, options);
    const inventory = selectManaged(listed, options);
    const bridges = inventory.networks.filter((it) => isLabelled(it) || it.driver === "bridge");
    const running = inventory.containers.filter(isRunning);
    const publishing = running.filter(({ publishedPorts }) => publishedPorts.length > 0);
    return {
      bridges: sortedNames(bridges),
      containers: sortedNames(running),
      published: new Map(publishing.map((it) => [it.name, it.publishedPorts])),
      inventory,
      engine: readVersion(headers, performance.now() - startedAt),
    };
  } catch (cause) {
    throw new EngineError(readFailure(cause), `Cannot observe Docker at ${socket}`, { cause });
  }
}

/** Lists networks and containers on one connection, unless the engine ends it. */
async function list(
  signal: AbortSignal,
  { socket, containerPrefixes, log, onAsked, ...limits }: ObserveOptions,
): Promise<Inventory & Pick<HttpResponse, "headers">> {
  const { timeouts = new TimeoutSet(), callTimeoutMs = 5_000, timeoutMs = 8_000 } = limits;
  const calls = [listNetworks, ...listManagedContainers(containerPrefixes)];
  let networks: NetworkInfo[] = [];
  let headers: HttpResponse["headers"] = new Map();
  const containerById = new Map<string, ContainerInfo>();
  let lastContainers: string | null = null;
  let connection: EngineConnection | null = null;
  const stopTimeout = timeouts.start(timeoutMs, () => {
    connection?.abort(new EngineError({ reason: "timeout", afterMs: timeoutMs }));
  });
  try {
    for (const [index, call] of calls.entries()) {
      if (!connection) {
        connection = await EngineConnection.open(socket, signal, { timeouts, log });
        await connection.send(calls.slice(index));
        if (index === 0) onAsked?.();
      }
      const stopCallTimeout = connection.abortAfter(callTimeoutMs);
      const answer = await connection.answers.next();
      stopCallTimeout();
      if (answer.isLast) {
        connection.close();
        connection = null;
      }
      checkStatus(answer, callName(call));
      const text = new TextDecoder().decode(answer.body);
      if (call === listNetworks) {
        networks = readNetworks(parseAnswer(text, callName(call)));
        headers = answer.headers;
        continue;
      }
      // Both lists of containers are alike where the prefix covers all that have the label.
      if (text === lastContainers) continue;
      lastContainers = text;
      // Reads a container in both lists only once, to save time.
      const containers = readContainers(parseAnswer(text, callName(call)), containerById);
      for (const it of containers) containerById.set(it.id, it);
    }
    return { headers, networks, containers: [...containerById.values()] };
  } finally {
    stopTimeout();
    connection?.close();
  }
}

function readVersion(headers: HttpResponse["headers"], latencyMs: number): EngineVersion {
  return {
    version: /^[^/]+\/(\S+)/.exec(headers.get("server") ?? "")?.[1] ?? null,
    apiVersion: headers.get("api-version") ?? null,
    latencyMs,
  };
}

function sortedNames(objects: readonly { readonly name: string }[]): string[] {
  // Sorted by UTF-16 units first, which takes no calls and leaves little to do.
  return [...new Set(objects.map(({ name }) => name))].sort().sort(compareCodePoints);
}
