import type { Engine } from "../docker/engine.ts";
import { interfaceAddresses } from "../host/process.ts";
import type { StoreMemory, TopologyRows } from "../store/recovery.ts";
import type { AppliedTopology } from "../store/row.ts";
import { AlreadyApplied, TopologyStore, unknownDocument } from "../store/topology_store.ts";
import { parseAddress } from "../topology/address.ts";
import { addressesOutside, type Changes, findChanges, findRemovals } from "../topology/changes.ts";
import { isImageReference } from "../topology/document.ts";
import type { Inventory } from "../topology/inventory.ts";
import { type ImageNames, type Plan, planDocument } from "../topology/plan.ts";
import {
  failure,
  otherThan,
  record,
  retryWhileLocked,
  storeFailure,
  withApplyLock,
} from "./apply_lock.ts";
import { reconcile, type RunOptions, withEngine } from "./executor.ts";
import { ApplyError, type ValidatedDocument } from "./validated_document.ts";

/** What an apply would have to do. */
interface ChangeSet {
  /** What goes first, when another topology is superseded. */
  readonly removals: Changes;
  readonly changes: Changes;
  /** Image name → id, or null when the host has none. */
  readonly imageIds: ReadonlyMap<string, string | null>;
}

const nothing: Changes = { networks: [], containers: [], obstacles: [] };

/** Looks what it takes to apply a plan, in place of the topology `other` where there is one. */
async function computeChangeSet(
  engine: Engine,
  plan: Plan,
  { other, images }: { other: AppliedTopology | null; images: ImageNames },
): Promise<ChangeSet> {
  const names = [...new Set(plan.containers.map(({ request }) => request.Image))];
  const [inventory, ids] = await Promise.all([
    engine.list(),
    // A name that Docker would not take is one that it does not have.
    Promise.all(names.map((name) => isImageReference(name) ? engine.imageId(name) : null)),
  ]);
  const removals = other ? await removalsOf(other, inventory, images) : nothing;
  const imageIds = new Map(names.map((name, index) => [name, ids[index]!]));
  const ownAddresses = interfaceAddresses().flatMap((it) => {
    const address = parseAddress(it.address);
    return address === null ? [] : [{ interface: it.interface, address }];
  });
  const hostAddresses = addressesOutside(inventory.networks, ownAddresses);
  const changes = findChanges(plan, without(inventory, removals), { imageIds, hostAddresses });
  return { removals, changes, imageIds };
}

/** What a teardown of a stored topology removes. */
async function removalsOf(
  { topologyId, versionHash, document }: Pick<
    AppliedTopology,
    "topologyId" | "versionHash" | "document"
  >,
  inventory: Inventory,
  images: ImageNames,
): Promise<Changes> {
  const plan = await planOf(document, images);
  return findRemovals({ topologyId, plan, wasApplied: versionHash !== "" }, inventory);
}

/** The plan of a stored document; null when it is of no use: the labels have to do then. */
async function planOf(document: string, images: ImageNames): Promise<Plan | null> {
  if (document === unknownDocument) return null;
  try {
    return await planDocument(document, images);
  } catch {
    return null;
  }
}

function without({ networks, containers }: Inventory, removals: Changes): Inventory {
  const gone = new Set<unknown>(
    [...removals.networks, ...removals.containers].map((it) => it.action === "remove" && it.fact),
  );
  return {
    networks: networks.filter((it) => !gone.has(it)),
    containers: containers.filter((it) => !gone.has(it)),
  };
}

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
export interface ApplyResult {
  readonly topologyId: string;
  /** How many networks and containers were created, removed or started. */
  readonly changes: number;
  /** Whether Docker or the store is not as it was before. */
  readonly changed: boolean;
}

/** How an apply is run. */
interface ApplyOptions extends RunOptions {
  /** The text that is applied once more: a store that holds another one by then is a refusal. */
  readonly stored?: string | undefined;
}

/** What an apply would do. */
export interface Preview extends ChangeSet {
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
  async preview({ plan }: ValidatedDocument, signal: AbortSignal): Promise<Preview> {
    const { sockets, storePath, supersede, images } = this.#options;
    const other = otherThan(plan.topologyId, readStore(storePath));
    try {
      return await withEngine(sockets, signal, async (engine) => ({
        ...await computeChangeSet(engine, plan, { other, images }),
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
  async apply(
    { plan, text, versionHash }: ValidatedDocument,
    options: ApplyOptions,
  ): Promise<ApplyResult> {
    const { topologyId } = plan;
    const { supersede, images } = this.#options;
    return await this.#withApplyLock(
      "apply",
      topologyId,
      options,
      async (store) => {
        const { signal } = options;
        const before = store.current();
        if (options.stored !== undefined && options.stored !== before?.document) {
          throw new ApplyError(
            "busy",
            "somebody else applied another document, or none is stored any more",
          );
        }
        const other = otherThan(topologyId, before);
        if (other && !supersede) throw conflict(other, topologyId);
        // Docker must not run what cannot be remembered.
        await retryWhileLocked(() => store.prepare(), signal);
        let isOtherTouched = false;
        try {
          const changes = await reconcile(
            this.#options.sockets,
            options,
            async (engine, carryOut) => {
              const other = otherThan(topologyId, store.current());
              const { removals, changes, imageIds } = await computeChangeSet(engine, plan, {
                other,
                images,
              });
              checkObstacles([...removals.obstacles, ...changes.obstacles]);
              if (other) {
                isOtherTouched = true;
                await carryOut(removals, imageIds);
                await retryWhileLocked(() => store.clear(other.topologyId), signal);
              }
              if (isSomething(changes)) {
                // By this a crash is known, and what it left is torn down before anything else comes.
                await retryWhileLocked(() => {
                  if (store.current() === null) store.recordError(topologyId, underWay, text);
                }, signal);
              }
              await carryOut(changes, imageIds);
            },
          );
          await retryWhileLocked(() => store.put(topologyId, versionHash, text), signal);
          const isSame = before?.topologyId === topologyId && before.versionHash === versionHash &&
            before.lastError === null;
          return { topologyId, changes, changed: changes > 0 || !isSame };
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
  async teardown(topologyId: string, options: RunOptions): Promise<ApplyResult> {
    // deno-lint-ignore no-control-regex
    if (!/^[^\x00-\x1f\x7f]{1,1000}$/.test(topologyId)) {
      throw new ApplyError("malformed", "topology_id must be a text of 1 to 1000 characters");
    }
    const { signal } = options;
    const unknown = { topologyId, versionHash: "", document: "" };
    return await this.#withApplyLock(
      "teardown",
      topologyId,
      options,
      async (store) => {
        const applied = store.current();
        const known = applied?.topologyId === topologyId ? applied : null;
        try {
          const { sockets, images } = this.#options;
          const changes = await reconcile(sockets, options, async (engine, carryOut) => {
            const inventory = await engine.list();
            const removals = await removalsOf(known ?? unknown, inventory, images);
            checkObstacles(removals.obstacles);
            await carryOut(removals, new Map());
          });
          await retryWhileLocked(() => store.clear(topologyId), signal);
          return { topologyId, changes, changed: changes > 0 || known !== null };
        } catch (error) {
          // A row for what is not stored would keep every other topology from this host.
          throw known ? await record(store, { topologyId, signal }, error) : failure(error);
        }
      },
    );
  }

  #withApplyLock(
    what: "apply" | "teardown",
    topologyId: string,
    options: RunOptions,
    work: (store: TopologyRows) => Promise<ApplyResult>,
  ): Promise<ApplyResult> {
    const { storePath, memory } = this.#options;
    const purpose = `${what} ${topologyId.slice(0, toldIdLength)}`;
    return withApplyLock(work, { ...options, storePath, memory, purpose });
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

function conflict(other: AppliedTopology, id: string): ApplyError {
  return new ApplyError("conflict", new AlreadyApplied(other.topologyId, id).message);
}

function isSomething({ networks, containers }: Changes): boolean {
  return networks.length + containers.length > 0;
}

function checkObstacles(obstacles: readonly string[]): void {
  if (obstacles.length > 0) throw new Error(obstacles.join("; "));
}
