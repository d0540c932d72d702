import {
  compareCodePoints,
  type ContainerFact,
  type Inventory,
  isRunning,
  type NetworkFact,
} from "../topology/mod.ts";
import { ask } from "./ask.ts";
import { EngineConnection } from "./connection.ts";
import { Crowd } from "./crowd.ts";
import { explain, noAnswer } from "./failure.ts";
import { isLabelled, oursOf, type Prefixes } from "./ours.ts";
import { Timers } from "./timers.ts";

/** Which engine to ask, which of its objects are ours, and how long it may take. */
export interface ObserveOptions extends Prefixes {
  /** The path of the engine's socket. */
  readonly socket: string;
  /** Shared by observations that follow one another fast, so that their timers do not pile up. */
  readonly timers?: Timers;
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
  const { socket, timers = new Timers(), callTimeoutMs = 5_000, timeoutMs = 8_000 } = options;
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
  networks: readonly NetworkFact[],
  containers: readonly ContainerFact[],
  prefixes: Prefixes,
): Omit<Observation, "engine"> {
  const inventory = oursOf({ networks, containers }, prefixes);
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
