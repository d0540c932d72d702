import { statFile } from "../host/files.ts";
import { FileLock } from "../host/lock.ts";
import {
  explain,
  isWritingImpossible,
  listQuarantined,
  lockPathOf,
  storeReason,
  suffixes,
  writeProblem,
} from "./file.ts";
import type { AppliedTopology } from "./row.ts";
import { AlreadyApplied, readRow, TopologyStore, withRows } from "./topology_store.ts";

/** How many damaged files are kept. */
const maximumQuarantined = 3;

/** The file is damaged, and cannot be quarantined either. */
class QuarantineError extends Error {
  override readonly name = "QuarantineError";
}

/** Returns what is damaged in the file at `path`, or null. Throws when it cannot be read otherwise. */
export function findDamage(path: string): string | null {
  try {
    withRows(path, (rows) => rows.check());
    return null;
  } catch (error) {
    if (storeReason(error) === "damaged") return (error as Error).message;
    throw error;
  }
}

/**
 * Renames a damaged file at `path` to `….corrupt-20261122T190501Z`, and returns the new path; null when
 * the file is in order. The three newest are kept. The caller holds the store's lock. Throws what SQLite
 * says when the file cannot be read, and `QuarantineError` when it cannot be renamed.
 */
export function quarantineIfDamaged(path: string, now = Date.now()): string | null {
  const damage = findDamage(path);
  if (damage === null) return null;
  try {
    return quarantine(path, now);
  } catch (cause) {
    const message = `the store is damaged (${damage}), and cannot be moved away: ${explain(cause)}`;
    throw new QuarantineError(message, { cause });
  }
}

function quarantine(path: string, now: number): string {
  const target = freeTarget(path, now);
  // The file comes first: SQLite removes a journal that has no file.
  for (const suffix of suffixes) {
    if (statFile(path + suffix)) Deno.renameSync(path + suffix, target + suffix);
  }
  const others = listQuarantined(path).filter((it) => it !== target);
  for (const old of others.slice(maximumQuarantined - 1)) removeDatabase(old);
  return target;
}

/** Removes the file of a database, and those beside it, as far as it can. Never throws. */
export function removeDatabase(path: string): void {
  for (const suffix of suffixes) {
    try {
      Deno.removeSync(path + suffix);
    } catch {
      // It is absent, or the next use of it reports why it cannot be used.
    }
  }
}

function freeTarget(path: string, now: number): string {
  for (let time = now;; time += 1000) {
    const target = `${path}.corrupt-${new Date(time).toISOString().replace(/[-:]|\.\d+/g, "")}`;
    if (!statFile(target)) return target;
  }
}

/** What an apply or a teardown needs of a store. */
export type ApplyStore = Pick<
  TopologyStore,
  "current" | "prepare" | "put" | "recordError" | "clear"
>;

/** Opens the store for a process that holds its lock; quarantines a damaged file first. */
export function openStore(path: string): TopologyStore {
  quarantineIfDamaged(path);
  const store = TopologyStore.open(path, withoutWaiting);
  try {
    store.current();
    return store;
  } catch (error) {
    store.close();
    throw error;
  }
}

/** What counts instead of a file that cannot be written. */
interface KeptStore {
  /** In memory. */
  readonly store: TopologyStore;
  /** What the file held when it could not be written. */
  readonly stored: AppliedTopology | null;
  readonly problem: string;
}

/**
 * The store of a running agent. Changes that the file cannot take are kept in memory until it can, or
 * until another process has written the file. Opens the file for each call, so nothing has to be closed.
 */
export class FallbackStore implements ApplyStore {
  readonly #path: string;
  #kept: KeptStore | null = null;

  constructor(path: string) {
    this.#path = path;
  }

  /** Why the file could not be written; null when it holds everything. */
  get problem(): string | null {
    return this.#kept && `${this.#kept.problem}; what is applied is kept in memory only`;
  }

  /** Returns the row that counts; forgets what is kept once another process has written the file. */
  resolve(stored: AppliedTopology | null): AppliedTopology | null {
    if (this.#kept && !isSame(stored, this.#kept.stored)) this.#kept = null;
    return this.#kept ? this.#kept.store.current() : stored;
  }

  /**
   * Quarantines a damaged file, and writes what is kept in memory. The caller holds the store's lock.
   * Throws what SQLite says when the file cannot be read, or is locked.
   */
  recover(): void {
    try {
      quarantineIfDamaged(this.#path);
    } catch (error) {
      if (!(error instanceof QuarantineError)) throw error;
      const store = TopologyStore.inMemory(this.resolve(null));
      this.#kept = { store, stored: null, problem: error.message };
      return;
    }
    const stored = this.#readFile();
    const row = this.resolve(stored);
    const kept = this.#kept;
    if (!kept) return;
    try {
      changeFile(this.#path, (store) => store.replace(row));
      this.#kept = null;
    } catch (error) {
      if (storeReason(error) === "locked") throw error;
      this.#kept = { ...kept, stored, problem: writeProblem(error) };
    }
  }

  /** As `recover()`, unless another process holds the store's lock. Never throws. */
  async tryRecover(): Promise<void> {
    const lockPath = lockPathOf(this.#path);
    let lock: FileLock | null = null;
    try {
      lock = await FileLock.acquire(lockPath, { purpose: "repairing the store" });
    } catch (error) {
      // Where no process can write, none needs the lock.
      if (!isWritingImpossible(error, lockPath)) return;
    }
    try {
      this.recover();
    } catch {
      // The next reading reports the problem, unless the file was only locked for a moment.
    } finally {
      lock?.release();
    }
  }

  current(): AppliedTopology | null {
    return this.resolve(this.#readFile());
  }

  prepare(): void {
    this.#change((store) => store.prepare());
  }

  put(topologyId: string, versionHash: string, document: string): void {
    this.#change((store) => store.put(topologyId, versionHash, document));
  }

  recordError(topologyId: string, message: string, document?: string): void {
    this.#change((store) => store.recordError(topologyId, message, document));
  }

  clear(topologyId: string): boolean {
    return this.#change((store) => store.clear(topologyId));
  }

  #readFile(): AppliedTopology | null {
    try {
      return readRow(this.#path);
    } catch (error) {
      // A damaged file that could not be quarantined counts as empty.
      if (this.#kept && storeReason(error) === "damaged") return null;
      throw error;
    }
  }

  #change<T>(change: (store: TopologyStore) => T): T {
    const stored = this.#readFile();
    const row = this.resolve(stored);
    if (this.#kept) return change(this.#kept.store);
    try {
      return changeFile(this.#path, change);
    } catch (error) {
      if (!isFileProblem(error)) throw error;
      const store = TopologyStore.inMemory(row);
      const result = change(store);
      this.#kept = { store, stored, problem: writeProblem(error) };
      return result;
    }
  }
}

/** SQLite's own waiting for a lock would block the whole process. */
const withoutWaiting = { busyTimeoutMs: 0 };

function changeFile<T>(path: string, change: (store: TopologyStore) => T): T {
  const store = TopologyStore.open(path, withoutWaiting);
  try {
    return change(store);
  } finally {
    store.close();
  }
}

function isSame(one: AppliedTopology | null, other: AppliedTopology | null): boolean {
  return one?.topologyId === other?.topologyId && one?.versionHash === other?.versionHash &&
    one?.appliedAt === other?.appliedAt && one?.lastError === other?.lastError;
}

/** Returns true unless the value, another topology, or a lock of another process is the reason. */
function isFileProblem(error: unknown): boolean {
  return !(error instanceof AlreadyApplied || error instanceof RangeError ||
    error instanceof SyntaxError || storeReason(error) === "locked");
}
