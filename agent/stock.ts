import { type EngineVersion, findSocket, observe, type ObserveOptions } from "../docker/mod.ts";
import { type AppliedTopology, type StoreReader, unknownDocument } from "../store/mod.ts";
import {
  type Drift,
  findDrift,
  type Inventory,
  type Plan,
  planTopology,
  readTopology,
} from "../topology/mod.ts";

/** How much of an error of the engine goes to the master, in characters. */
const maximumErrorLength = 200;

/** What the store holds, or why it cannot be read. */
export type StoreStock =
  | { readonly state: "ok"; readonly applied: AppliedTopology }
  | { readonly state: "idle" }
  | { readonly state: "unreadable"; readonly detail: string };

/** What runs, or why that cannot be seen. */
export type Observed =
  | { readonly bridges: readonly string[]; readonly containers: readonly string[] }
  | { readonly error: string };

/** Drift that cannot be told has a reason instead of lists. */
export type KnownDrift = Drift | { readonly state: "unknown"; readonly detail: string };

/** Everything that the agent knows of its host at one moment. */
export interface Stock {
  readonly store: StoreStock;
  readonly observed: Observed;
  /** The path of the engine's socket; null when none was found. */
  readonly socket: string | null;
  /** Null when the engine did not answer. */
  readonly engine: EngineVersion | null;
  readonly drift: KnownDrift;
}

/** Where to look. */
export interface StockOptions extends Omit<ObserveOptions, "socket"> {
  /** Paths where the engine's socket may be; the first that exists is used. */
  readonly sockets: readonly string[];
  readonly store: StoreReader;
}

/** Reads the store and asks the engine; what is broken becomes part of the answer. Never throws. */
export async function takeStock(signal: AbortSignal, options: StockOptions): Promise<Stock> {
  const store = readStore(options.store);
  let socket: string | null = null;
  try {
    socket = findSocket(options.sockets);
    const { inventory, engine, ...observed } = await observe(signal, {
      ...options,
      socket,
    });
    return { store, observed, socket, engine, drift: compare(store, inventory) };
  } catch (error) {
    const detail = messageOf(error);
    const observed = { error: detail.slice(0, maximumErrorLength).toWellFormed() };
    return { store, observed, socket, engine: null, drift: unknown("Docker did not answer") };
  }
}

function readStore(store: StoreReader): StoreStock {
  try {
    const applied = store.current();
    return applied ? { state: "ok", applied } : { state: "idle" };
  } catch (error) {
    return { state: "unreadable", detail: `Cannot read the store: ${messageOf(error)}` };
  }
}

function compare(store: StoreStock, inventory: Inventory): KnownDrift {
  if (store.state === "unreadable") return unknown("the store is unreadable");
  if (store.state === "idle") return findDrift(null, inventory);
  if (store.applied.document === unknownDocument) {
    return unknown("the store holds no document");
  }
  let plan: Plan;
  try {
    plan = planTopology(readTopology(store.applied.document));
  } catch (error) {
    return unknown(messageOf(error));
  }
  return findDrift(plan, inventory);
}

function unknown(detail: string): KnownDrift {
  return { state: "unknown", detail };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
