import { FileLock, LockHeld } from "../host/mod.ts";
import {
  explain,
  isWritingImpossible,
  lockPathOf,
  openLastingStore,
  openStore,
  type StoreMemory,
  type TopologyRows,
} from "../store/mod.ts";
import type { RunOptions } from "./converge.ts";
import { patiently } from "./patience.ts";
import { Refusal } from "./refusal.ts";

/** Where the store lies, and for whom. */
export interface AloneOptions extends RunOptions {
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
export async function alone<T>(
  work: (store: TopologyRows) => Promise<T>,
  options: AloneOptions,
): Promise<T> {
  const { storePath, memory, signal } = options;
  const lock = await acquire(options);
  let store: TopologyRows | undefined;
  try {
    const open = () => memory ? openLastingStore(storePath, memory) : openStore(storePath);
    store = await patiently(open, signal);
    return await work(store);
  } catch (cause) {
    throw cause instanceof Refusal ? cause : storeFailure(storePath, cause);
  } finally {
    store?.close();
    lock?.release();
  }
}

/** Why the store is of no use. */
export function storeFailure(path: string, cause: unknown): Refusal {
  return new Refusal("failed", `Cannot use the store ${path}: ${explain(cause)}`, { cause });
}

async function acquire(
  { storePath, memory, purpose, signal, gone, onWait }: AloneOptions,
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
      throw new Refusal("busy", `another apply or teardown is under way: ${cause.message}`);
    }
    if (gone?.aborted) throw new Refusal("busy", "the caller left before its turn had come");
    if (signal.aborted) throw new Refusal("busy", "stopped before its turn had come");
    // Where there can be no lock, nobody who would need one can write.
    if (memory && isWritingImpossible(cause, path)) return null;
    throw new Refusal("failed", `Cannot lock ${path}: ${explain(cause)}`, { cause });
  }
}
