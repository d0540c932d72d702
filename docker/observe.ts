import {
  type ContainerInfo,
  type Inventory,
  isRunning,
  type NetworkInfo,
  topologyLabel,
} from "../topology/inventory.ts";
import { compareCodePoints } from "../topology/json.ts";
import {
  EngineConnection,
  type EngineRequest,
  type EngineResponse,
  explain,
  noAnswer,
  parseAnswer,
  TimeoutSet,
} from "./http.ts";
import { readContainers, readNetworks } from "./lists.ts";

/** The longest path that the kernel takes for a socket, in bytes. */
const maximumPathBytes = 107;

/**
 * The path of a `unix://` address, or null for every other one, as the agent speaks to the engine of
 * its own host only, and for a path that is too long for a socket.
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
      // A path that may not be looked at is there: connecting to it will say what is wrong.
      return error instanceof Deno.errors.PermissionDenied;
    }
  });
  if (found !== undefined) return found;
  throw new Error(
    `Cannot find Docker: none of ${paths.join(", ")} exists; start the engine, or set docker-host`,
  );
}

/** How the names begin of what is ours without a label. */
export interface Prefixes {
  readonly networkPrefixes: readonly string[];
  readonly containerPrefixes: readonly string[];
}

/** Whether a name begins with one of the prefixes. */
export function hasPrefix(name: string, prefixes: readonly string[]): boolean {
  return prefixes.some((prefix) => name.startsWith(prefix));
}

/** Whether somebody has said that an object belongs to a topology. */
function isLabelled({ labels }: { readonly labels: ReadonlyMap<string, string> }): boolean {
  return labels.has(topologyLabel);
}

/** What a label or a prefix makes ours. */
export function selectManaged(
  { networks, containers }: Inventory,
  { networkPrefixes, containerPrefixes }: Prefixes,
): Inventory {
  return {
    networks: networks.filter((it) => isLabelled(it) || hasPrefix(it.name, networkPrefixes)),
    containers: containers.filter((it) => isLabelled(it) || hasPrefix(it.name, containerPrefixes)),
  };
}

/** All containers. */
export const containersCall = { method: "GET", path: "/containers/json?all=1" } as const;
/** How many containers are asked for where it is not known that there are more. */
const fewContainers = 500;
/** The newest of all containers, running or not; all of them, where there are fewer. */
const fewContainersCall = {
  method: "GET",
  path: `${containersCall.path}&limit=${fewContainers}`,
} as const;
/** For how many observations a host counts as crowded before it is looked at afresh. */
const observations = 100;

/**
 * How to ask a host with many containers for them. Shared by observations that follow one another, so
 * that few of them have to find it out.
 */
export class Crowd {
  #calls: readonly EngineRequest[] | null = null;
  #left = 0;

  /** The calls for this observation; null where the host is not known to be crowded. */
  next(): readonly EngineRequest[] | null {
    return this.#left-- > 0 ? this.#calls : null;
  }

  /** The calls for a host with many containers, for this observation and those to come. */
  find({ areMostOurs, prefixes }: {
    readonly areMostOurs: boolean;
    readonly prefixes: readonly string[];
  }): readonly EngineRequest[] {
    this.#left = observations;
    return this.#calls = (areMostOurs ? null : callsForOurs(prefixes)) ?? [containersCall];
  }
}

/**
 * The calls whose answers together hold every container that is ours and hardly another. The engine
 * has no filter for "this name or that label", so there is one for each. Null where they could miss
 * one: a dead container may have lost its name, and goes by its id, which has no filter like that.
 */
export function callsForOurs(prefixes: readonly string[]): EngineRequest[] | null {
  if (prefixes.some((prefix) => /^[0-9a-f]{0,12}$/.test(prefix))) return null;
  const calls = [filtered({ label: [topologyLabel] })];
  if (prefixes.length > 0) {
    // Docker looks for the expression in names with their slash, Podman in names without.
    const starts = prefixes.map((prefix) => prefix.replace(/\W/g, "\\$&")).join("|");
    calls.unshift(filtered({ name: [`^/?(?:${starts})`] }));
  }
  return calls;
}

/** What several lists hold together; of what is in two of them the first counts. */
function union(lists: readonly ContainerInfo[][]): ContainerInfo[] {
  const [first = [], ...others] = lists;
  if (others.length === 0) return first;
  const seen = new Set(first.map(({ id }) => id));
  return [...first, ...others.flat().filter(({ id }) => !seen.has(id))];
}

function filtered(filters: Readonly<Record<string, readonly string[]>>): EngineRequest {
  const query = encodeURIComponent(JSON.stringify(filters));
  return { method: "GET", path: `${containersCall.path}&filters=${query}` };
}

/** All networks. */
export const networksCall = { method: "GET", path: "/networks" } as const;

/** What the engine has answered. */
interface Answers {
  readonly networks: NetworkInfo[];
  /** All that are ours, and others. */
  readonly containers: ContainerInfo[];
  /** Of the first answer. */
  readonly headers: EngineResponse["headers"];
}

/** How to ask. */
interface AskOptions extends Prefixes {
  readonly crowd: Crowd;
  /** Called when the time of another call begins. */
  readonly onCall: () => void;
  /** Called when the engine has been asked, and has not answered yet. */
  readonly onAsked: () => void;
}

/**
 * Asks for the networks and the containers. Of a host with many containers it asks once more: for ours
 * alone where most of them are foreign, else for all.
 */
async function ask(connection: EngineConnection, options: AskOptions): Promise<Answers> {
  const { crowd, onCall, onAsked, containerPrefixes: prefixes } = options;
  const known = crowd.next();
  const receive = async (calls: readonly EngineRequest[]) => {
    const lists: ContainerInfo[][] = [];
    for (const _ of calls) {
      onCall();
      const answer = await connection.receive();
      lists.push(readContainers(parseAnswer(answer, "GET /containers/json")));
    }
    return union(lists);
  };
  const calls = known ?? [fewContainersCall];
  await connection.send([networksCall, ...calls]);
  onAsked();
  const answer = await connection.receive();
  const { headers } = answer;
  const networks = readNetworks(parseAnswer(answer, "GET /networks"));
  const containers = await receive(calls);
  // An engine that takes no limit has listed them all, and may well have more.
  if (known || containers.length !== fewContainers) return { networks, containers, headers };
  const ours = selectManaged({ networks: [], containers }, options).containers.length;
  const more = crowd.find({ areMostOurs: 2 * ours > containers.length, prefixes });
  await connection.send(more);
  return { networks, containers: await receive(more), headers };
}

/** Which engine to ask, which of its objects are ours, and how long it may take. */
export interface ObserveOptions extends Prefixes {
  /** The path of the engine's socket. */
  readonly socket: string;
  /** Shared by observations that follow one another fast, so that their timers do not pile up. */
  readonly timers?: TimeoutSet;
  /** Shared likewise, so that not each has to find out how to ask for many containers. */
  readonly crowd?: Crowd;
  /** Called when the engine has been asked, and has not answered yet. */
  readonly onAsked?: () => void;
  /** Bound on each call. */
  readonly callTimeoutMs?: number;
  /** Bound on the whole observation. */
  readonly timeoutMs?: number;
}

/** What the engine says of itself in the headers of an answer. */
export interface EngineVersion {
  readonly version: string | null;
  readonly apiVersion: string | null;
  /** The time that the lists took, in milliseconds. */
  readonly latencyMs: number;
}

/** What runs on the host; both lists are sorted by code point. */
export interface Observation {
  /** Names of our bridge networks. */
  readonly bridges: readonly string[];
  /** Names of our containers that run. */
  readonly containers: readonly string[];
  readonly inventory: Inventory;
  readonly engine: EngineVersion;
}

/**
 * Asks the engine for its networks and its containers, on one connection, and nothing else: to inspect
 * each object would race with what changes meanwhile.
 * Throws `Error`, whose message is fit for an operator, when any of it fails.
 */
export async function observe(signal: AbortSignal, options: ObserveOptions): Promise<Observation> {
  const { socket, timers = new TimeoutSet(), callTimeoutMs = 5_000, timeoutMs = 8_000 } = options;
  const { onAsked = () => {}, crowd = new Crowd() } = options;
  const startedAt = performance.now();
  const limit = new AbortController();
  const onAbort = () => limit.abort(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  const start = (ms: number) => timers.start(ms, () => limit.abort(noAnswer(ms)));
  const stopTimer = start(timeoutMs);
  let stopCallTimer = () => {};
  const startCall = () => {
    stopCallTimer();
    stopCallTimer = start(callTimeoutMs);
  };
  try {
    startCall();
    const connection = await EngineConnection.open(socket, limit.signal);
    try {
      const asking = { ...options, crowd, onCall: startCall, onAsked };
      const { networks, containers, headers } = await ask(connection, asking);
      return {
        ...select(networks, containers, options),
        engine: {
          version: /^[^/]+\/(\S+)/.exec(headers.get("server") ?? "")?.[1] ?? null,
          apiVersion: headers.get("api-version") ?? null,
          latencyMs: performance.now() - startedAt,
        },
      };
    } finally {
      connection.close();
    }
  } catch (error) {
    const cause = limit.signal.aborted ? limit.signal.reason : error;
    throw new Error(`Cannot observe Docker at ${socket}: ${explain(cause)}`, { cause });
  } finally {
    stopTimer();
    stopCallTimer();
    signal.removeEventListener("abort", onAbort);
  }
}

function select(
  networks: readonly NetworkInfo[],
  containers: readonly ContainerInfo[],
  prefixes: Prefixes,
): Omit<Observation, "engine"> {
  const inventory = selectManaged({ networks, containers }, prefixes);
  const bridges = inventory.networks.filter((it) => isLabelled(it) || it.driver === "bridge");
  return {
    bridges: sortedNames(bridges),
    containers: sortedNames(inventory.containers.filter(isRunning)),
    inventory,
  };
}

function sortedNames(facts: readonly { readonly name: string }[]): string[] {
  return [...new Set(facts.map(({ name }) => name))].sort(compareCodePoints);
}
