import {
  AlreadyApplied,
  type AppliedTopology,
  type StoreMemory,
  type TopologyRows,
  TopologyStore,
} from "../store/mod.ts";
import type { Changes } from "../topology/changes/mod.ts";
import type { ImageNames } from "../topology/mod.ts";
import { alone, storeFailure } from "./alone.ts";
import type { Candidate } from "./candidate.ts";
import { converge, type RunOptions, withEngine } from "./converge.ts";
import { patiently } from "./patience.ts";
import { lookAhead, type Prospect, removalsOf } from "./prospect.ts";
import { failure, otherThan, record } from "./record.ts";
import { Refusal } from "./refusal.ts";

/** What is recorded while a first apply is under way, and stays when it is cut off. */
const underWay = "the apply is under way, or was cut off; apply it again or tear it down";
/** How much of an id is told to who waits, in characters. */
const toldIdLength = 64;

/** Where a topology is applied, and how. */
export interface ApplierOptions {
  /** Paths where the engine's socket may be; the first that exists is used. */
  readonly sockets: readonly string[];
  /** The SQLite file of the store; the lock lies beside it. */
  readonly storePath: string;
  readonly images: ImageNames;
  /** Whether another topology is torn down first, instead of a refusal. */
  readonly supersede: boolean;
  /** Takes what cannot be written to the store; without it that is a failure. */
  readonly memory?: StoreMemory;
}

/** What became of an apply or a teardown. */
export interface Outcome {
  readonly topologyId: string;
  /** How many networks and containers were created, removed or started. */
  readonly changes: number;
  /** Whether Docker or the store is not as it was before. */
  readonly isNews: boolean;
}

/** How an apply is run. */
export interface ApplyOptions extends RunOptions {
  /** The text that is applied once more: a store that holds another one by then is a refusal. */
  readonly stored?: string | undefined;
}

/** What an apply would do. */
export interface Preview extends Prospect {
  /** Why it would be refused, or null. */
  readonly conflict: string | null;
}

/** Makes topologies real in Docker, and takes them down again. */
export class Applier {
  readonly #options: ApplierOptions;

  constructor(options: ApplierOptions) {
    this.#options = options;
  }

  /** What an apply would do now; changes nothing. Throws `Refusal`, `failed`. */
  async preview({ plan }: Candidate, signal: AbortSignal): Promise<Preview> {
    const { sockets, storePath, supersede, images } = this.#options;
    const other = otherThan(plan.topologyId, readStore(storePath));
    try {
      return await withEngine(sockets, signal, async (engine) => ({
        ...await lookAhead(engine, plan, { other, images }),
        conflict: other && !supersede ? conflict(other, plan.topologyId).message : null,
      }));
    } catch (cause) {
      throw failure(cause);
    }
  }

  /**
   * Makes Docker as planned and stores the document. Throws `Refusal`: `conflict` when another
   * topology is stored, `busy`, or `failed`, which is recorded in the store.
   */
  async apply({ plan, text, versionHash }: Candidate, options: ApplyOptions): Promise<Outcome> {
    const { topologyId } = plan;
    const { supersede, images } = this.#options;
    return await this.#alone(
      "apply",
      topologyId,
      options,
      async (store) => {
        const { signal } = options;
        const before = store.current();
        if (options.stored !== undefined && options.stored !== before?.document) {
          throw new Refusal(
            "busy",
            "somebody else applied another document, or none is stored any more",
          );
        }
        const other = otherThan(topologyId, before);
        if (other && !supersede) throw conflict(other, topologyId);
        // Docker must not run what cannot be remembered.
        await patiently(() => store.prepare(), signal);
        let isOtherTouched = false;
        try {
          const changes = await converge(
            this.#options.sockets,
            options,
            async (engine, carryOut) => {
              const other = otherThan(topologyId, store.current());
              const { removals, changes, imageIds } = await lookAhead(engine, plan, {
                other,
                images,
              });
              checkObstacles([...removals.obstacles, ...changes.obstacles]);
              if (other) {
                isOtherTouched = true;
                await carryOut(removals, imageIds);
                await patiently(() => store.clear(other.topologyId), signal);
              }
              if (isSomething(changes)) {
                // By this a crash is known, and what it left is torn down before anything else comes.
                await patiently(() => {
                  if (store.current() === null) store.recordError(topologyId, underWay, text);
                }, signal);
              }
              await carryOut(changes, imageIds);
            },
          );
          await patiently(() => store.put(topologyId, versionHash, text), signal);
          const isSame = before?.topologyId === topologyId && before.versionHash === versionHash &&
            before.lastError === null;
          return { topologyId, changes, isNews: changes > 0 || !isSame };
        } catch (error) {
          // What was not touched is as well as before.
          if (other && !isOtherTouched) throw failure(error);
          throw await record(store, { topologyId, text, signal }, error);
        }
      },
    );
  }

  /**
   * Removes everything of a topology from Docker, and its row from the store, in whatever state it
   * is, or when there is nothing. Throws `Refusal`: `malformed`, `busy` or `failed`.
   */
  async teardown(topologyId: string, options: RunOptions): Promise<Outcome> {
    // deno-lint-ignore no-control-regex
    if (!/^[^\x00-\x1f\x7f]{1,1000}$/.test(topologyId)) {
      throw new Refusal("malformed", "topology_id must be a text of 1 to 1000 characters");
    }
    const { signal } = options;
    const unknown = { topologyId, versionHash: "", document: "" };
    return await this.#alone(
      "teardown",
      topologyId,
      options,
      async (store) => {
        const applied = store.current();
        const known = applied?.topologyId === topologyId ? applied : null;
        try {
          const { sockets, images } = this.#options;
          const changes = await converge(sockets, options, async (engine, carryOut) => {
            const inventory = await engine.list();
            const removals = await removalsOf(known ?? unknown, inventory, images);
            checkObstacles(removals.obstacles);
            await carryOut(removals, new Map());
          });
          await patiently(() => store.clear(topologyId), signal);
          return { topologyId, changes, isNews: changes > 0 || known !== null };
        } catch (error) {
          // A row for what is not stored would keep every other topology from this host.
          throw known ? await record(store, { topologyId, signal }, error) : failure(error);
        }
      },
    );
  }

  #alone(
    what: "apply" | "teardown",
    topologyId: string,
    options: RunOptions,
    work: (store: TopologyRows) => Promise<Outcome>,
  ): Promise<Outcome> {
    const { storePath, memory } = this.#options;
    const purpose = `${what} ${topologyId.slice(0, toldIdLength)}`;
    return alone(work, { ...options, storePath, memory, purpose });
  }
}

function readStore(path: string): AppliedTopology | null {
  let store: TopologyStore | undefined;
  try {
    store = TopologyStore.open(path, { readOnly: true });
    return store.current();
  } catch (cause) {
    throw storeFailure(path, cause);
  } finally {
    store?.close();
  }
}

function conflict(other: AppliedTopology, id: string): Refusal {
  return new Refusal("conflict", new AlreadyApplied(other.topologyId, id).message);
}

function isSomething({ networks, containers }: Changes): boolean {
  return networks.length + containers.length > 0;
}

function checkObstacles(obstacles: readonly string[]): void {
  if (obstacles.length > 0) throw new Error(obstacles.join("; "));
}
