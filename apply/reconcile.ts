import { Engine } from "../docker/engine.ts";
import { EngineError } from "../docker/errors.ts";
import { findSocket } from "../docker/observe.ts";
import type { Log } from "../host/log.ts";
import { pause } from "../host/process.ts";
import type { AppliedTopology } from "../store/row.ts";
import {
  type Changes,
  findChanges,
  findRemovals,
  findTakenSubnets,
  type ImageIds,
  removedBy,
} from "../topology/changes.ts";
import { needsSecondLook } from "../topology/drift.ts";
import type { Inventory } from "../topology/inventory.ts";
import { imagesOf, type Plan, planDocument, type PlanOptions } from "../topology/plan.ts";
import { ChangeExecutor, type ProgressEvent } from "./executor.ts";
import { collectReserved, type Peers } from "./host_network.ts";
import { findTakenPorts, type ListenAddress } from "./host_ports.ts";

/** How long a running call may still take once the process stops, in milliseconds. */
const stopGraceMs = 1_200;
/** How many times the engine is listed and changed, at most. */
const maximumRounds = 4;
/** The pauses before the engine is listed again after a failed step, in milliseconds. */
const retryPausesMs = [50, 250, 1_000];
/** The time after which a base that has just been started is no longer up for "Less than a second". */
const secondLookMs = 2_000;

/** How one apply or teardown runs. */
export interface RunOptions {
  /** Stops it between two calls to the engine; a later apply or teardown continues. */
  readonly signal: AbortSignal;
  /** Aborted when the client disconnects: a run that waits for the lock ends, another continues. */
  readonly clientSignal?: AbortSignal | undefined;
  readonly onProgress?: ((event: ProgressEvent) => void) | undefined;
  /** Called with the lock's owner before waiting for it; without it, a held lock is `busy`. */
  readonly onWait?: ((holder: string) => void) | undefined;
  /** Gets a line of level debug for each call to the engine. */
  readonly log?: Log | undefined;
}

/** A topology to be removed. */
type RemovalTarget = Pick<AppliedTopology, "topologyId" | "document">;

/** Lists the engine's objects; returns how to remove `superseded`, and what to change then for a plan. */
export async function computeChangeSet(
  engine: Engine,
  plan: Plan,
  { superseded, planOptions, peers, listen, signal }: {
    superseded: RemovalTarget | null;
    planOptions: PlanOptions;
    peers: Peers;
    listen: ListenAddress | null;
    signal: AbortSignal;
  },
) {
  const [inventory, imageIds] = await Promise.all([
    listClearly(engine, plan, signal),
    listImageIds(engine, imagesOf(plan)),
  ]);
  const removals = superseded
    ? await computeRemovals(superseded, inventory, planOptions)
    : { networks: [], containers: [], obstacles: [] };
  const changes = findChanges(plan, withoutRemoved(inventory, removals), imageIds);
  const taken = await findTakenPorts([...removals.containers, ...changes.containers], listen);
  if (changes.networks.some(({ action }) => action === "create")) {
    const networks = [...removals.networks, ...changes.networks];
    taken.push(...findTakenSubnets(networks, inventory.networks, await collectReserved(peers)));
  }
  return {
    removals,
    changes: { ...changes, obstacles: [...taken, ...changes.obstacles] },
    imageIds,
  };
}

/** Lists the engine's objects, twice where a restart depends on whether a base has just been started. */
async function listClearly(engine: Engine, plan: Plan, signal: AbortSignal): Promise<Inventory> {
  const inventory = await engine.list();
  if (!needsSecondLook(plan, inventory)) return inventory;
  await pause(secondLookMs, signal);
  return await engine.list();
}

/** Returns what a teardown removes; by labels only, where the document is unknown or no topology. */
export async function computeRemovals(
  { topologyId, document }: RemovalTarget,
  inventory: Inventory,
  planOptions: PlanOptions,
): Promise<Changes> {
  const plan = await planDocument(document, planOptions).catch(() => null);
  return findRemovals({ topologyId, plan }, inventory);
}

/** Asks the engine for the ids of images. Throws `EngineError`. */
export async function listImageIds(engine: Engine, names: readonly string[]): Promise<ImageIds> {
  return new Map(
    await Promise.all(names.map(async (name) => [name, await engine.imageId(name)] as const)),
  );
}

function withoutRemoved({ networks, containers }: Inventory, removals: Changes): Inventory {
  const removed = new Set<unknown>([
    ...removedBy(removals.networks),
    ...removedBy(removals.containers),
  ]);
  return {
    networks: networks.filter((it) => !removed.has(it)),
    containers: containers.filter((it) => !removed.has(it)),
  };
}

/**
 * Repeats `work`, which lists and changes the engine, until nothing was left to create or remove, as the
 * engine may still carry out calls of an agent that was killed; also, three times at most, after a step
 * that it has refused, as something else may have changed. Returns the number of changes.
 */
export async function reconcile(
  sockets: readonly string[],
  { signal, onProgress, log }: RunOptions,
  work: (executor: ChangeExecutor) => Promise<void>,
): Promise<number> {
  const pausesMs = [...retryPausesMs];
  let refusal: Error | null = null;
  let changeCount = 0;
  for (let rounds = 0; rounds < maximumRounds;) {
    const stop = new AbortController();
    const engine = new Engine(findSocket(sockets), stop.signal, { log });
    const executor = new ChangeExecutor(engine, stop, onProgress);
    try {
      await runUntilStopped(signal, stop, work(executor));
      refusal = null;
      rounds++;
    } catch (error) {
      // The engine may be gone by now: the step that was refused says more than its lists.
      if (refusal && error instanceof EngineError) throw refusal;
      refusal = executor.refusal;
      const pauseMs = pausesMs.shift();
      if (error !== refusal || pauseMs === undefined || signal.aborted) throw error;
      await pause(pauseMs, signal);
    } finally {
      engine.close();
    }
    changeCount += executor.changeCount;
    if (refusal === null && executor.isSettled) return changeCount;
  }
  throw new Error(
    `Docker still differs after ${maximumRounds} rounds of changes; find out what else changes it`,
  );
}

/** Waits for `work`; once `signal` is aborted, no further call is sent, and running ones get 1.2 s. */
async function runUntilStopped(
  signal: AbortSignal,
  stop: AbortController,
  work: Promise<void>,
): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const { promise: overdue, reject } = Promise.withResolvers<never>();
  const onAbort = () => {
    stop.abort(new Error("interrupted by a signal; apply it again or tear it down"));
    timer = setTimeout(() => reject(stop.signal.reason), stopGraceMs);
  };
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort, { once: true });
  try {
    await Promise.race([work, overdue]);
  } finally {
    // Even to clear no timer would load the runtime's timers, which takes 6 ms.
    if (timer !== undefined) clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}
