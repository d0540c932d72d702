import { describeOwner, FileLock, LockHeld } from "../host/lock.ts";
import { explain, isWritingImpossible, lockPathOf, retryWhileLocked } from "../store/file.ts";
import { type ApplyStore, type FallbackStore, openStore } from "../store/recovery.ts";
import type { TopologyStore } from "../store/topology_store.ts";
import { ApplyError, storeError } from "./apply_error.ts";
import type { RunOptions } from "./reconcile.ts";

/** How much of a purpose is written to the lock file, in characters: it contains an id. */
const maximumPurposeLength = 80;

/** Which lock is acquired, and for what. */
interface ApplyLockOptions {
  /** The SQLite file of the store; the lock lies beside it. */
  readonly storePath: string;
  /** Takes the row when the file cannot be written; without it, a failed write is an error. */
  readonly fallback: FallbackStore | undefined;
  /** Shown to processes that wait for the lock: `apply ID`. */
  readonly purpose: string;
  readonly run: RunOptions;
}

/** Runs `work` while no other apply or teardown runs. Throws `ApplyError`, or what `work` throws. */
export async function withApplyLock<T>(
  options: ApplyLockOptions,
  work: (store: ApplyStore) => Promise<T>,
): Promise<T> {
  const { storePath, fallback, run: { signal } } = options;
  const lock = await acquireLock(options);
  let store: TopologyStore | undefined;
  try {
    if (fallback) {
      await retryWhileLocked(() => fallback.recover(), signal);
      return await work(fallback);
    }
    store = await retryWhileLocked(() => openStore(storePath), signal);
    return await work(store);
  } catch (cause) {
    throw cause instanceof ApplyError ? cause : storeError(storePath, cause);
  } finally {
    store?.close();
    lock?.release();
  }
}

/** Returns null where no process can write the lock file, so that no lock is needed. */
async function acquireLock(
  { storePath, fallback, purpose, run: { signal, clientSignal, onWait } }: ApplyLockOptions,
): Promise<FileLock | null> {
  const path = lockPathOf(storePath);
  const waiting = clientSignal ? AbortSignal.any([signal, clientSignal]) : signal;
  try {
    waiting.throwIfAborted();
    return await FileLock.acquire(path, {
      purpose: purpose.slice(0, maximumPurposeLength),
      signal: waiting,
      onWait: onWait && ((owner) => onWait(describeOwner(owner))),
    });
  } catch (cause) {
    if (cause instanceof LockHeld) {
      throw new ApplyError("busy", `another apply or teardown is running: ${cause.message}`);
    }
    if (waiting.aborted) {
      throw new ApplyError("busy", "stopped while waiting for another apply or teardown");
    }
    if (fallback && isWritingImpossible(cause, path)) return null;
    throw new ApplyError("failed", `Cannot lock ${path}: ${explain(cause)}`, { cause });
  }
}
