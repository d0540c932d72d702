import { FileLock, LockHeld } from "../host/lock.ts";
import { explain, isLocked, isWritingImpossible, lockPathOf } from "../store/file.ts";
import {
  openLastingStore,
  openStore,
  type StoreMemory,
  type TopologyRows,
} from "../store/recovery.ts";
import type { AppliedTopology } from "../store/row.ts";
import type { RunOptions } from "./executor.ts";
import { ApplyError } from "./validated_document.ts";

const limitMs = 5_000;
/** Whoever is asked to stop does not wait that long. */
const limitWhenStoppedMs = 500;
const pauseMs = 50;

/**
 * Does something with the store, again for up to 5 s while another process holds it locked. SQLite's
 * own waiting would keep the whole process from answering and from stopping.
 */
export async function retryWhileLocked<T>(work: () => T, signal: AbortSignal): Promise<T> {
  for (const startedAt = performance.now();;) {
    try {
      return work();
    } catch (error) {
      const elapsedMs = performance.now() - startedAt;
      if (!isLocked(error) || elapsedMs > (signal.aborted ? limitWhenStoppedMs : limitMs)) {
        throw error;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

/** What is stored, if it is another topology. */
export function otherThan(id: string, applied: AppliedTopology | null): AppliedTopology | null {
  return applied && applied.topologyId !== id ? applied : null;
}

/** Keeps what went wrong, with the document, so that a teardown finds what there is by then. */
export async function record(
  store: TopologyRows,
  { topologyId, text, signal }: { topologyId: string; text?: string; signal: AbortSignal },
  error: unknown,
): Promise<ApplyError> {
  const refusal = failure(error);
  try {
    await retryWhileLocked(() => {
      // While a topology that is to be superseded is still there, it is its teardown that failed.
      const other = otherThan(topologyId, store.current());
      if (other) store.recordError(other.topologyId, refusal.message);
      else store.recordError(topologyId, refusal.message, text);
    }, signal);
    return refusal;
  } catch (cause) {
    const message = `${refusal.message}; and this could not be recorded: ${messageOf(cause)}`;
    return new ApplyError("failed", message, { cause });
  }
}

/** What was thrown, as the refusal that it is for whoever has asked. */
export function failure(error: unknown): ApplyError {
  if (error instanceof ApplyError) return error;
  return new ApplyError("failed", messageOf(error), { cause: error });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Where the store lies, and for whom. */
interface ApplyLockOptions extends RunOptions {
  /** The SQLite file of the store; the lock lies beside it. */
  readonly storePath: string;
  /** Takes what cannot be written to the store; without it that is a failure. */
  readonly memory?: StoreMemory | undefined;
  /** What is done, in words for whoever has to wait. */
  readonly purpose: string;
}

/**
 * Works with the store while nobody else does, in this process and in all others. Throws `Refusal`:
 * `busy`, `failed`, or what `work` throws.
 */
export async function withApplyLock<T>(
  work: (store: TopologyRows) => Promise<T>,
  options: ApplyLockOptions,
): Promise<T> {
  const { storePath, memory, signal } = options;
  const lock = await acquire(options);
  let store: TopologyRows | undefined;
  try {
    const open = () => memory ? openLastingStore(storePath, memory) : openStore(storePath);
    store = await retryWhileLocked(open, signal);
    return await work(store);
  } catch (cause) {
    throw cause instanceof ApplyError ? cause : storeFailure(storePath, cause);
  } finally {
    store?.close();
    lock?.release();
  }
}

/** Why the store is of no use. */
export function storeFailure(path: string, cause: unknown): ApplyError {
  return new ApplyError("failed", `Cannot use the store ${path}: ${explain(cause)}`, { cause });
}

async function acquire(
  { storePath, memory, purpose, signal, gone, onWait }: ApplyLockOptions,
): Promise<FileLock | null> {
  const path = lockPathOf(storePath);
  const waiting = gone ? AbortSignal.any([signal, gone]) : signal;
  let lock: FileLock | null = null;
  try {
    lock = await FileLock.acquire(path, { purpose, signal: waiting, onWait });
    waiting.throwIfAborted();
    return lock;
  } catch (cause) {
    lock?.release();
    if (cause instanceof LockHeld) {
      throw new ApplyError("busy", `another apply or teardown is under way: ${cause.message}`);
    }
    if (gone?.aborted) throw new ApplyError("busy", "the caller left before its turn had come");
    if (signal.aborted) throw new ApplyError("busy", "stopped before its turn had come");
    // Where there can be no lock, nobody who would need one can write.
    if (memory && isWritingImpossible(cause, path)) return null;
    throw new ApplyError("failed", `Cannot lock ${path}: ${explain(cause)}`, { cause });
  }
}
