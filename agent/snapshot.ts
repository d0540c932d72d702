import { TimeoutSet } from "../docker/http.ts";
import { type EngineVersion, findSocket, observe, type ObserveOptions } from "../docker/observe.ts";
import { explain, findFolderProblem, findWriteProblem, isDamage } from "../store/file.ts";
import { listQuarantined, type StoreMemory } from "../store/recovery.ts";
import type { AppliedTopology } from "../store/row.ts";
import { StoreReader } from "../store/store_reader.ts";
import { unknownDocument } from "../store/topology_store.ts";
import { type Drift, findDrift } from "../topology/drift.ts";
import { type ImageNames, type Plan, planDocument } from "../topology/plan.ts";

/** What the store holds, or why it cannot be read; `detail` is what else there is to say of it. */
type StoreStatus =
  | { readonly state: "ok"; readonly applied: AppliedTopology; readonly detail?: string }
  | { readonly state: "idle"; readonly detail?: string }
  | {
    readonly state: "unreadable";
    readonly detail: string;
    /** It will be set aside by whoever may write. */
    readonly isDamaged?: boolean;
  };

/** How the store is read. */
interface ReadOptions {
  /** Whether to set a damaged store aside, and to write what could not be written before. */
  readonly repairs?: boolean;
}

/**
 * Reads the store again and again. With a memory it also mends what it can: it sets a damaged file
 * aside, and writes what could not be written before.
 */
export class StoreKeeper {
  readonly #path: string;
  readonly #memory: StoreMemory | null;
  readonly #reader: StoreReader;

  constructor(path: string, memory: StoreMemory | null) {
    this.#path = path;
    this.#memory = memory;
    this.#reader = new StoreReader(path);
  }

  /** What the store holds now. Never throws. */
  async read(signal: AbortSignal, { repairs = true }: ReadOptions = {}): Promise<StoreStatus> {
    try {
      const stored = await this.#current(signal, repairs);
      const applied = this.#memory ? this.#memory.recall(stored) : stored;
      const details = [
        this.#memory?.problem ?? findWriteProblem(this.#path) ?? findFolderProblem(this.#path),
        setAsideText(listQuarantined(this.#path)),
      ].filter((it) => it !== null);
      const more = details.length > 0 ? { detail: details.join("; ") } : {};
      return applied ? { state: "ok", applied, ...more } : { state: "idle", ...more };
    } catch (error) {
      const detail = `Cannot read the store ${this.#path}: ${explain(error)}`;
      return { state: "unreadable", detail, isDamaged: isDamage(error) };
    }
  }

  /** Whether a reading that may repair the store has something to do. */
  canRepair(status: StoreStatus): boolean {
    if (this.#memory === null) return false;
    return this.#memory.problem !== null || (status.state === "unreadable" && !!status.isDamaged);
  }

  /** Closes the file. */
  close(): void {
    this.#reader.close();
  }

  async #current(signal: AbortSignal, repairs: boolean): Promise<AppliedTopology | null> {
    const memory = this.#memory;
    if (!memory) return await this.#reader.current(signal);
    if (repairs && memory.problem !== null) await fix(this.#path, memory);
    try {
      return await this.#reader.current(signal);
    } catch (error) {
      const isKnown = memory.problem !== null;
      if (!isDamage(error) || !(repairs || isKnown)) throw error;
      if (repairs) await fix(this.#path, memory);
    }
    try {
      return await this.#reader.current(signal);
    } catch (error) {
      // What is damaged, and cannot be set aside, is as good as empty.
      if (isDamage(error) && memory.problem !== null) return null;
      throw error;
    }
  }
}

/** Reading seldom has to mend anything, so that is loaded when it has. */
async function fix(path: string, memory: StoreMemory): Promise<void> {
  const { repairStore } = await import("./store_mending.ts");
  await repairStore(path, memory);
}

function setAsideText([newest, ...older]: string[]): string | null {
  if (newest === undefined) return null;
  const files = older.length === 0 ? newest : `${newest} (and ${older.length} earlier)`;
  const them = older.length === 0 ? "that file when it has" : "those files when they have";
  return `the store was damaged and is set aside as ${files}; remove ${them} been looked at`;
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
  readonly memory?: StoreMemory;
  /** What a topology is made from: with another image a container is another one. */
  readonly images: ImageNames;
}

/** Takes stock again and again; keeps what need not be made anew each time. */
export class SnapshotCollector {
  readonly #options: SnapshotOptions;
  readonly #store: StoreKeeper;
  readonly #timeouts = new TimeoutSet();
  /** The plan of the document that was seen last. */
  #planned: { readonly document: string; readonly plan: Plan } | null = null;

  constructor(options: SnapshotOptions) {
    this.#options = options;
    this.#store = new StoreKeeper(options.storePath, options.memory ?? null);
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
    const store = await this.#store.read(signal, { repairs });
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
