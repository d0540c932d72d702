import { TimeoutSet } from "../docker/http.ts";
import { type EngineVersion, findSocket, observe, type ObserveOptions } from "../docker/observe.ts";
import type { FallbackStore } from "../store/recovery.ts";
import { unknownDocument } from "../store/row.ts";
import { StoreReader, type StoreStatus } from "../store/store_reader.ts";
import { type Drift, findDrift } from "../topology/drift.ts";
import { type ImageNames, type Plan, planDocument } from "../topology/plan.ts";

/** How the store is read. */
interface ReadOptions {
  /** Whether to set a damaged store aside, and to write what could not be written before. */
  readonly repairs?: boolean;
}

/** How much of an error of the engine goes to the master, in characters. */
const maximumErrorLength = 200;

/** What runs, or why that cannot be seen. */
export type Observed =
  | {
    readonly kind: "listed";
    readonly bridges: readonly string[];
    readonly containers: readonly string[];
  }
  | { readonly kind: "failed"; readonly error: string };

interface UnknownDrift {
  readonly state: "unknown";
  readonly detail: string;
}

/** Drift that cannot be told has a reason instead of lists. */
export type KnownDrift = Drift | UnknownDrift;

/** Everything that the agent knows of its host at one moment. */
export interface HostSnapshot {
  readonly store: StoreStatus;
  readonly observed: Observed;
  /** The path of the engine's socket; null when none was found. */
  readonly socket: string | null;
  /** Null when the engine did not answer. */
  readonly engine: EngineVersion | null;
  readonly drift: KnownDrift;
}

/** What the store holds, and what Docker should be like for it. */
interface Expected {
  readonly store: StoreStatus;
  readonly plan: { readonly plan: Plan | null } | UnknownDrift;
}

/** Where to look. */
export interface SnapshotOptions extends Omit<ObserveOptions, "socket" | "timeouts" | "onAsked"> {
  /** Paths where the engine's socket may be; the first that exists is used. */
  readonly sockets: readonly string[];
  /** The SQLite file of the store. */
  readonly storePath: string;
  /** Given to whoever may write the store: what could not be written to it. */
  readonly memory?: FallbackStore;
  /** What a topology is made from: with another image a container is another one. */
  readonly images: ImageNames;
}

/** Takes stock again and again; keeps what need not be made anew each time. */
export class SnapshotCollector {
  readonly #options: SnapshotOptions;
  readonly #store: StoreReader;
  readonly #timeouts = new TimeoutSet();
  /** The plan of the document that was seen last. */
  #planned: { readonly document: string; readonly plan: Plan } | null = null;

  constructor(options: SnapshotOptions) {
    this.#options = options;
    this.#store = new StoreReader(options.storePath, options.memory ?? null);
  }

  /** Reads the store and asks the engine; what is broken becomes part of the answer. Never throws. */
  async collect(signal: AbortSignal, { repairs = true }: ReadOptions = {}): Promise<HostSnapshot> {
    let expecting: Promise<Expected> | null = null;
    // The engine needs its time for an answer: enough to read the store and to plan.
    const expect = () => expecting ??= this.#expect(signal, repairs);
    let socket: string | null = null;
    try {
      socket = findSocket(this.#options.sockets);
      const options = { ...this.#options, timeouts: this.#timeouts, socket, onAsked: expect };
      const { inventory, engine, bridges, containers } = await observe(signal, options);
      const { store, plan } = await expect();
      const drift = "detail" in plan ? plan : findDrift(plan.plan, inventory);
      const observed = { kind: "listed", bridges, containers } as const;
      return { store, observed, socket, engine, drift };
    } catch (error) {
      const text = messageOf(error).slice(0, maximumErrorLength).toWellFormed();
      const observed = { kind: "failed", error: text } as const;
      const { store } = await expect();
      return { store, observed, socket, engine: null, drift: unknown("Docker did not answer") };
    }
  }

  /** Whether a collection that may repair the store has something to do. */
  canRepair({ store }: HostSnapshot): boolean {
    return this.#store.canRepair(store);
  }

  /** Closes the store. */
  close(): void {
    this.#store.close();
  }

  /** Never throws. */
  async #expect(signal: AbortSignal, repairs: boolean): Promise<Expected> {
    const store = await this.#store.readStatus(signal, { repairs });
    return { store, plan: await this.#plan(store) };
  }

  async #plan(store: StoreStatus): Promise<Expected["plan"]> {
    if (store.state === "unreadable") return unknown("the store is unreadable");
    if (store.state === "idle") return { plan: null };
    const { document } = store.applied;
    if (document === unknownDocument) return unknown("the store holds no document");
    try {
      if (this.#planned?.document !== document) {
        this.#planned = { document, plan: await planDocument(document, this.#options.images) };
      }
      return this.#planned;
    } catch (error) {
      return unknown(messageOf(error));
    }
  }
}

function unknown(detail: string): UnknownDrift {
  return { state: "unknown", detail };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
