import { Engine } from "../docker/engine.ts";
import { findSocket } from "../docker/observe.ts";
import type { MasterAddress } from "../master/connection.ts";
import { exists } from "../host/files.ts";
import { messageOf } from "../host/log.ts";
import type { ApplyStore, FallbackStore } from "../store/recovery.ts";
import { retryWhileLocked, storeReason } from "../store/file.ts";
import { type AppliedTopology, unknownDocument } from "../store/row.ts";
import { readRow } from "../store/topology_store.ts";
import type { Changes } from "../topology/changes.ts";
import { type Inventory, topologyLabel } from "../topology/inventory.ts";
import type { Json } from "../topology/json.ts";
import type { PlanOptions } from "../topology/plan.ts";
import { ApplyError, storeError, toApplyError } from "./apply_error.ts";
import { withApplyLock } from "./apply_lock.ts";
import type { ChangeExecutor } from "./executor.ts";
import { type Peers, prepareNetworkCheck } from "./host_network.ts";
import type { ListenAddress } from "./host_ports.ts";
import {
  conflictError,
  HistoryFile,
  isMarker,
  isNothing,
  otherTopology,
} from "./other_topology.ts";
import { computeChangeSet, computeRemovals, reconcile, type RunOptions } from "./reconcile.ts";
import { type ValidatedDocument, validateDocument } from "./validated_document.ts";

/** Stored before the first change of a first apply, so that it stays if the process is killed. */
const unfinishedError = "the apply is running or was interrupted; apply it again or tear it down";

/** Where topologies are applied, and how. */
export interface ApplierOptions {
  /** Paths where the engine's socket may be; the first that exists is used. */
  readonly sockets: readonly string[];
  /** The SQLite file of the store; the lock lies beside it. */
  readonly storePath: string;
  readonly planOptions: PlanOptions;
  /** The master, which the LANs must leave in reach; null when there is none. */
  readonly master: MasterAddress | null;
  /** Where the API listens, which no gateway may publish; null: it is off. */
  readonly listen: ListenAddress | null;
  /** Whether another stored topology is removed first, not a `conflict`; a mere error always gives way. */
  readonly supersede: boolean;
  /** Takes the row when the file cannot be written; without it, a failed write is an error. */
  readonly fallback?: FallbackStore | undefined;
}

/** A document to be applied. */
export interface ApplyRequest {
  readonly document: Json;
  /** The version hash that the document must have; null accepts any. */
  readonly expectedHash: string | null;
  /** The text of a document that was read from the store; `busy` if the store changed since. */
  readonly storedText?: string | undefined;
  /** The address that the call came from; absent for an apply by hand. */
  readonly callerAddress?: string | undefined;
}

/** What an apply or a teardown has done. */
export interface ApplyResult {
  readonly topologyId: string;
  /** Null after a teardown. */
  readonly versionHash: string | null;
  /** How many networks and containers were created, removed or started. */
  readonly changes: number;
  /** Whether Docker or the store was changed. */
  readonly changed: boolean;
}

/** What an apply would do. */
export interface Preview {
  readonly validated: ValidatedDocument;
  /** What is removed first because it belongs to a superseded topology. */
  readonly removals: Changes;
  readonly changes: Changes;
  /** The message of the `conflict`, or null. */
  readonly conflict: string | null;
}

/** Applies topologies to Docker and the store, and tears them down. */
export class Applier {
  readonly #options: ApplierOptions;
  readonly #history: HistoryFile;

  constructor(options: ApplierOptions) {
    this.#options = options;
    this.#history = new HistoryFile(options.storePath);
  }

  /** Returns what an apply would do now; changes nothing. Throws `ApplyError`. */
  async preview({ document, expectedHash }: ApplyRequest, signal: AbortSignal): Promise<Preview> {
    const { storePath, supersede, planOptions, master, listen } = this.#options;
    const validated = await validateDocument(document, { expectedHash, planOptions });
    const { plan } = validated;
    const superseded = otherTopology(plan.topologyId, await readStore(storePath, signal));
    const context = { superseded, planOptions, peers: { master }, listen, signal };
    const work = (engine: Engine) => computeChangeSet(engine, plan, context);
    const { removals, changes } = await this.#askEngine(signal, work);
    if (superseded === null || supersede) return { validated, removals, changes, conflict: null };
    const left = isMarker(superseded) ? removals : null;
    const { message } = conflictError(superseded, plan.topologyId, { left, isPush: false });
    return { validated, removals, changes, conflict: left && isNothing(left) ? null : message };
  }

  /** Makes Docker match a document, and stores it. Throws `ApplyError`; a `failed` one is recorded. */
  async apply(
    { document, expectedHash, storedText, callerAddress }: ApplyRequest,
    run: RunOptions,
  ): Promise<ApplyResult> {
    const { planOptions, master, storePath, fallback } = this.#options;
    const validated = await validateDocument(document, { expectedHash, planOptions });
    const { topologyId } = validated.plan;
    const lock = { storePath, fallback, purpose: `apply ${topologyId}`, run };
    return await withApplyLock(lock, async (store) => {
      const stored = store.current();
      checkStillStored(stored, storedText);
      const other = otherTopology(topologyId, stored);
      const isPush = callerAddress !== undefined;
      try {
        if (other) await this.#makeWay(other, topologyId, { store, isPush, signal: run.signal });
        const peers = { master, callerAddress };
        const result = await this.#applyTo(store, validated, { peers, run });
        this.#history.recordApplied(topologyId);
        return result;
      } catch (error) {
        // The stored topology is not the one whose apply failed, so that no row has this error.
        const isRefusal = error instanceof ApplyError && !error.details.isRecorded &&
          !run.signal.aborted;
        if (other && isPush && isRefusal) {
          this.#history.recordRefused(other.topologyId, topologyId, error);
        }
        throw error;
      }
    });
  }

  /**
   * Removes the row of another topology of which only an error is stored, and nothing is in Docker.
   * Throws `ApplyError` `conflict` or `loop` if topology `id` may not take its place.
   */
  async #makeWay(
    other: AppliedTopology,
    id: string,
    { store, isPush, signal }: { store: ApplyStore; isPush: boolean; signal: AbortSignal },
  ): Promise<void> {
    const { supersede, planOptions } = this.#options;
    let left: Changes | null = null;
    if (isMarker(other)) {
      left = await this.#askEngine(
        signal,
        async (engine) => await computeRemovals(other, await engine.list(), planOptions),
      );
      if (isNothing(left)) {
        await retryWhileLocked(() => store.clear(other.topologyId), signal);
        // Otherwise two topologies could replace each other for ever when one of them fails.
        if (supersede) this.#history.recordReplaced(other.topologyId);
        // The first agent's store may hold one row more.
        const older = otherTopology(id, store.current());
        if (older) await this.#makeWay(older, id, { store, isPush, signal });
        return;
      }
    }
    if (!supersede) throw conflictError(other, id, { left, isPush });
    // A command by hand is a decision, and is never refused.
    if (isPush) this.#history.checkLoop(other, id);
  }

  /** Makes Docker match a document, and stores it, in place of any other topology. */
  async #applyTo(
    store: ApplyStore,
    validated: ValidatedDocument,
    { peers, run }: { peers: Peers; run: RunOptions },
  ): Promise<ApplyResult> {
    const { text, versionHash, plan: { topologyId } } = validated;
    const { signal } = run;
    const stored = store.current();
    // Checks that the store can be written before Docker is changed.
    await retryWhileLocked(() => store.prepare(), signal);
    const other = otherTopology(topologyId, stored);
    let isOtherUntouched = other !== null;
    const onSupersede = (superseded: AppliedTopology) => {
      this.#history.recordReplaced(superseded.topologyId);
      isOtherUntouched = false;
    };
    const round = { store, validated, peers, signal, onSupersede };
    try {
      const { sockets } = this.#options;
      const changes = await reconcile(sockets, run, (executor) => this.#runRound(executor, round));
      await retryWhileLocked(() => store.put(topologyId, versionHash, text), signal);
      const isSame = stored?.topologyId === topologyId && stored.versionHash === versionHash &&
        stored.lastError === null;
      return { topologyId, versionHash, changes, changed: changes > 0 || !isSame };
    } catch (error) {
      // The stored topology is unchanged, and it is not the one whose apply failed.
      if (isOtherUntouched) throw toApplyError(error);
      throw await recordFailure(store, { topologyId, text, signal }, error);
    }
  }

  /** Computes the changes, checks for obstacles such as missing images, then changes Docker. */
  async #runRound(
    executor: ChangeExecutor,
    { store, validated: { plan, text }, peers, signal, onSupersede }: {
      store: ApplyStore;
      validated: ValidatedDocument;
      peers: Peers;
      signal: AbortSignal;
      /** Called before a superseded topology is removed. */
      onSupersede: (superseded: AppliedTopology) => void;
    },
  ): Promise<void> {
    const { engine } = executor;
    const { topologyId } = plan;
    const superseded = otherTopology(topologyId, store.current());
    const { planOptions, listen } = this.#options;
    const context = { superseded, planOptions, peers, listen, signal };
    const { removals, changes, imageIds } = await computeChangeSet(engine, plan, context);
    checkObstacles(removals, changes);
    const { networks, containers } = changes;
    const check = await prepareNetworkCheck(peers, { engine, topologyId, networks, signal });
    if (superseded) {
      await executor.checkGuests([...removals.containers, ...containers]);
      onSupersede(superseded);
      await executor.execute(removals, imageIds);
      await retryWhileLocked(() => store.clear(superseded.topologyId), signal);
    }
    if (networks.length + containers.length > 0) {
      // If this process is killed, a later teardown finds the document in the store.
      await retryWhileLocked(() => {
        if (store.current() === null) store.recordError(topologyId, unfinishedError, text);
      }, signal);
    }
    await executor.execute(changes, imageIds, check);
  }

  /**
   * Removes a topology from Docker and the store, in any state; succeeds when none exists. By hand, the
   * start of an id will do, and to find nothing is a `conflict` while another is stored. Throws `ApplyError`.
   */
  async teardown(
    givenId: string,
    run: RunOptions,
    { byHand = false }: { byHand?: boolean } = {},
  ): Promise<ApplyResult> {
    // deno-lint-ignore no-control-regex
    if (!/^[^\x00-\x1f\x7f]{1,1000}$/.test(givenId)) {
      throw new ApplyError("malformed", "topology_id must be a text of 1 to 1000 characters");
    }
    const { planOptions, storePath, fallback } = this.#options;
    const isMeant = (id: string) => id === givenId || (byHand && isShortId(givenId, id));
    let topologyId = givenId;
    const findRemovals = async (engine: Engine) => {
      const inventory = await engine.list();
      topologyId = chooseId(inventory, topologyId, isMeant);
      const target = { topologyId, document: unknownDocument };
      return await computeRemovals(target, inventory, planOptions);
    };
    if (!fallback && !exists(storePath)) {
      // Makes no folder for a store when there is nothing to remove, or no engine to remove it from.
      const removals = await this.#askEngine(run.signal, findRemovals);
      const isDone = isNothing(removals) && removals.obstacles.length === 0;
      if (isDone) return { topologyId: givenId, versionHash: null, changes: 0, changed: false };
    }
    const lock = { storePath, fallback, purpose: `teardown ${givenId}`, run };
    return await withApplyLock(lock, async (store) => {
      const current = store.current();
      if (current && isMeant(current.topologyId)) {
        return await this.#removeStored(store, current, run);
      }
      try {
        const changes = await this.#remove(findRemovals, run);
        // An older row may have this id.
        const isCleared = await retryWhileLocked(() => store.clear(topologyId), run.signal);
        const changed = changes > 0 || isCleared;
        if (byHand && !changed && current) {
          const applied = `topology ${current.topologyId} is applied on this host`;
          throw new ApplyError("conflict", `nothing found for topology ${givenId}; ${applied}`);
        }
        this.#history.recordRemoved(topologyId);
        return { topologyId, versionHash: null, changes, changed };
      } catch (error) {
        // Records nothing: a new row would make every later apply a conflict.
        throw toApplyError(error);
      }
    });
  }

  /** Tears down what is stored; returns null for nothing. Throws `ApplyError` `busy` or `failed`. */
  async teardownStored(run: RunOptions): Promise<ApplyResult | null> {
    const { storePath, fallback } = this.#options;
    const lock = { storePath, fallback, purpose: "teardown of the stored topology", run };
    return await withApplyLock(lock, async (store) => {
      const stored = store.current();
      return stored && await this.#removeStored(store, stored, run);
    });
  }

  /** Throws `ApplyError`, which is also recorded. */
  async #removeStored(
    store: ApplyStore,
    stored: AppliedTopology,
    run: RunOptions,
  ): Promise<ApplyResult> {
    const { planOptions } = this.#options;
    const { topologyId } = stored;
    try {
      const changes = await this.#remove(
        async (engine) => await computeRemovals(stored, await engine.list(), planOptions),
        run,
      );
      const isCleared = await retryWhileLocked(() => store.clear(topologyId), run.signal);
      this.#history.recordRemoved(topologyId);
      return { topologyId, versionHash: null, changes, changed: changes > 0 || isCleared };
    } catch (error) {
      throw await recordFailure(store, { topologyId, signal: run.signal }, error);
    }
  }

  /** Returns the number of changes. */
  #remove(findRemovals: (engine: Engine) => Promise<Changes>, run: RunOptions): Promise<number> {
    return reconcile(this.#options.sockets, run, async (executor) => {
      const removals = await findRemovals(executor.engine);
      checkObstacles(removals);
      await executor.execute(removals, new Map());
    });
  }

  /** Runs `work`, which only reads, with the engine. Throws `ApplyError`. */
  async #askEngine<T>(signal: AbortSignal, work: (engine: Engine) => Promise<T>): Promise<T> {
    let engine: Engine | undefined;
    try {
      engine = new Engine(findSocket(this.#options.sockets), signal);
      return await work(engine);
    } catch (cause) {
      throw toApplyError(cause);
    } finally {
      engine?.close();
    }
  }
}

/** Records a failure, with the document for a later teardown; returns the error to throw. */
async function recordFailure(
  store: ApplyStore,
  { topologyId, text, signal }: { topologyId: string; text?: string; signal: AbortSignal },
  cause: unknown,
): Promise<ApplyError> {
  const error = toApplyError(cause);
  const { code, message } = error;
  try {
    await retryWhileLocked(() => {
      // A superseded topology that is still stored could not be removed: the failure is its own.
      const other = otherTopology(topologyId, store.current());
      if (other) store.recordError(other.topologyId, message);
      else store.recordError(topologyId, message, text);
    }, signal);
    return new ApplyError(code, message, { cause, isRecorded: true });
  } catch (cause) {
    const addition = `and this could not be recorded: ${messageOf(cause)}`;
    return new ApplyError("failed", `${message}; ${addition}`, { cause });
  }
}

function checkStillStored(stored: AppliedTopology | null, text: string | undefined): void {
  if (text === undefined || text === stored?.document) return;
  throw new ApplyError(
    "busy",
    "meanwhile another document was applied, or the stored one was removed",
  );
}

function checkObstacles(...changes: readonly Changes[]): void {
  const obstacles = changes.flatMap((it) => it.obstacles);
  if (obstacles.length > 0) throw new Error(obstacles.join("; "));
}

/** Shorter starts of an id are not accepted: the names of containers have this much of it. */
const minimumShortId = 8;

function isShortId(short: string, id: string): boolean {
  return short.length >= minimumShortId && id.startsWith(short);
}

/** Returns the id that is meant among those of objects in Docker; the given one when there is none. */
function chooseId(
  { networks, containers }: Inventory,
  givenId: string,
  isMeant: (id: string) => boolean,
): string {
  const ids = [...networks, ...containers].map(({ labels }) => labels.get(topologyLabel) ?? "");
  const found = [...new Set(ids)].filter(isMeant);
  if (found.length < 2 || found.includes(givenId)) return found.length === 1 ? found[0]! : givenId;
  throw new ApplyError(
    "malformed",
    `several topologies in Docker have an id that starts with ${givenId}: ${
      found.slice(0, 5).join(", ")
    }`,
  );
}

async function readStore(path: string, signal: AbortSignal): Promise<AppliedTopology | null> {
  try {
    return await retryWhileLocked(() => readRow(path), signal);
  } catch (cause) {
    const error = storeError(path, cause);
    if (storeReason(cause) !== "damaged") throw error;
    const advice = "the next apply moves it away and starts with an empty store";
    throw new ApplyError("failed", `${error.message}; ${advice}`, { cause });
  }
}
