import { type EngineVersion, findSocket, observe, type Prefixes } from "../docker/observe.ts";
import { firstNames, type Log, messageOf, shorten } from "../host/log.ts";
import { TimeoutSet } from "../host/timeouts.ts";
import { readRefusedPush, type RefusedPush } from "../store/history.ts";
import type { FallbackStore } from "../store/recovery.ts";
import { unknownDocument } from "../store/row.ts";
import { StoreReader, type StoreStatus } from "../store/store_reader.ts";
import { type Drift, driftKinds, findDrift } from "../topology/drift.ts";
import type { Inventory } from "../topology/inventory.ts";
import { type Plan, planDocument, type PlanOptions } from "../topology/plan.ts";
import type { Port } from "../topology/services.ts";

/** The longest error of the engine that is sent, in characters. */
const maximumErrorLength = 200;

/** What runs, or why that cannot be seen. */
export type Observed =
  | {
    readonly kind: "listed";
    readonly bridges: readonly string[];
    readonly containers: readonly string[];
    /** Container name → the ports of the host that it publishes. */
    readonly published: ReadonlyMap<string, readonly Port[]>;
  }
  | { readonly kind: "failed"; readonly error: string };

/** The drift, or why it is unknown. Told apart by `state`, as it goes over the wire. */
export type KnownDrift = Drift | { readonly state: "unknown"; readonly detail: string };

/** The most characters of a name with its details: the engine has no limit for one. */
const maximumNameLength = 250;
/** The most characters of why a drift is unknown: a document can have many problems. */
const maximumReasonLength = 1_000;

/** Returns the drift in one line, or null when there is none: `missing decnet_t_…; stopped …`. */
export function describeDrift(drift: KnownDrift): string | null {
  if (drift.state === "unknown") {
    return `drift unknown: ${shorten(drift.detail, maximumReasonLength)}`;
  }
  if (drift.state === "consistent") return null;
  return driftKinds.filter((kind) => drift[kind].length > 0).map((kind) => {
    const names = drift[kind].map(({ name, detail }) =>
      shorten(detail === "" ? name : `${name} (${detail})`, maximumNameLength)
    );
    return `${kind} ${firstNames(names)}`;
  }).join("; ");
}

/** What the agent knows of its host at one moment. */
export interface HostSnapshot {
  readonly store: StoreStatus;
  readonly observed: Observed;
  /** The path of the engine's socket; null when none was found. */
  readonly socket: string | null;
  /** Null when the engine did not answer. */
  readonly engine: EngineVersion | null;
  readonly drift: KnownDrift;
  /** The last refused push; null when the stored topology has not been in the way lately. */
  readonly refused: RefusedPush | null;
}

/** What the store holds, and the plan that Docker should match. */
interface Expected extends Pick<HostSnapshot, "store" | "refused"> {
  readonly plan: Plan | null;
  /** Why the plan is unknown, or null. */
  readonly problem: string | null;
}

/** Where the store and the engine of a host are, and which objects are the agent's. */
export interface HostOptions extends Prefixes {
  /** Paths where the engine's socket may be; the first that may be opened is used. */
  readonly sockets: readonly string[];
  /** The SQLite file of the store. */
  readonly storePath: string;
}

/** What a snapshot takes. */
export interface SnapshotOptions extends HostOptions {
  /** Given to a process that may write the store; keeps what could not be written to it. */
  readonly fallback?: FallbackStore;
  /** What containers are made from: one with another image counts as changed. */
  readonly planOptions: PlanOptions;
  /** Called with what runs, each time that the engine was asked. */
  readonly onInventory?: (inventory: Inventory) => void;
  /** Gets a line of level debug for each call to the engine. */
  readonly log?: Log;
}

/** Collects snapshots, and keeps the open store and the plan for the next one. */
export class SnapshotCollector {
  readonly #options: SnapshotOptions;
  readonly #store: StoreReader;
  readonly #timeouts = new TimeoutSet();
  /** The plan of the document that was seen last. */
  #planned: { readonly document: string; readonly plan: Plan } | null = null;

  constructor(options: SnapshotOptions) {
    this.#options = options;
    this.#store = new StoreReader(options.storePath, options.fallback ?? null);
  }

  /**
   * Reads the store and asks the engine; what fails becomes part of the snapshot. With `repairs` it
   * quarantines a damaged store, and writes what could not be written before. Never throws.
   */
  async collect(signal: AbortSignal, { repairs = true } = {}): Promise<HostSnapshot> {
    const { sockets, networkPrefixes, containerPrefixes, log } = this.#options;
    let expected: Promise<Expected> | null = null;
    const readExpected = () => expected ??= this.#readExpected(signal, repairs);
    let socket: string | null = null;
    try {
      socket = findSocket(sockets);
      const { inventory, engine, ...names } = await observe(signal, {
        socket,
        networkPrefixes,
        containerPrefixes,
        timeouts: this.#timeouts,
        log,
        // Reads the store while the engine prepares its answer.
        onAsked: readExpected,
      });
      this.#options.onInventory?.(inventory);
      const { store, refused, plan, problem } = await readExpected();
      const drift = problem === null ? findDrift(plan, inventory) : unknown(problem);
      const observed = { kind: "listed", ...names } as const;
      return { store, observed, socket, engine, drift, refused };
    } catch (cause) {
      const error = messageOf(cause).slice(0, maximumErrorLength).toWellFormed();
      const { store, refused } = await readExpected();
      const drift = unknown("Docker did not answer");
      return { store, observed: { kind: "failed", error }, socket, engine: null, drift, refused };
    }
  }

  /** Returns true when a collection with `repairs` has something to repair. */
  canRepair({ store }: HostSnapshot): boolean {
    return this.#store.canRepair(store);
  }

  /** Closes the store. */
  close(): void {
    this.#store.close();
  }

  /** Never throws. */
  async #readExpected(signal: AbortSignal, repairs: boolean): Promise<Expected> {
    const store = await this.#store.readStatus(signal, { repairs });
    const { storePath } = this.#options;
    const refused = store.kind === "ok"
      ? readRefusedPush(storePath, store.applied.topologyId)
      : null;
    try {
      return { store, refused, plan: await this.#plan(store), problem: null };
    } catch (error) {
      return { store, refused, plan: null, problem: messageOf(error) };
    }
  }

  /** Returns the plan of what is stored, or null when nothing is. Throws `Error` when it cannot. */
  async #plan(store: StoreStatus): Promise<Plan | null> {
    if (store.kind === "unreadable") throw new Error("the store is unreadable");
    if (store.kind === "idle") return null;
    const { document } = store.applied;
    if (document === unknownDocument) throw new Error("the store holds no document");
    if (this.#planned?.document !== document) {
      this.#planned = { document, plan: await planDocument(document, this.#options.planOptions) };
    }
    return this.#planned.plan;
  }
}

function unknown(detail: string): KnownDrift {
  return { state: "unknown", detail };
}
