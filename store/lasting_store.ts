import { explain } from "./advice.ts";
import { isDamage } from "./damage.ts";
import { isLocked } from "./file.ts";
import type { StoreMemory } from "./memory.ts";
import { setAsideIfDamaged, UnmovableStore } from "./quarantine.ts";
import type { AppliedTopology } from "./row.ts";
import { AlreadyApplied, TopologyStore } from "./topology_store.ts";

/** What an apply or a teardown does with the store. */
export type TopologyRows = Pick<
  TopologyStore,
  "current" | "prepare" | "put" | "recordError" | "clear" | "close"
>;

/**
 * Opens the store at `path` for whoever holds its lock. A damaged file is set aside first. Throws what
 * SQLite says when it cannot be read, as another process holds it, or cannot be written.
 */
export function openStore(path: string): TopologyRows {
  setAsideIfDamaged(path);
  const store = TopologyStore.open(path, { busyTimeoutMs: 0 });
  try {
    store.current();
    return store;
  } catch (error) {
    store.close();
    throw error;
  }
}

/** As `openStore()`, for a process that lives on: what cannot be written is kept in `memory`. */
export function openLastingStore(path: string, memory: StoreMemory): TopologyRows {
  try {
    setAsideIfDamaged(path);
  } catch (error) {
    if (!(error instanceof UnmovableStore)) throw error;
    memory.over(null);
    memory.begin(null, error.message);
    return new LastingStore(new UnwritableFile(path, error.message), memory);
  }
  let file: TopologyStore;
  try {
    file = TopologyStore.open(path, { busyTimeoutMs: 0 });
  } catch (error) {
    const unwritable = new UnwritableFile(path, explainUnwritable(error));
    memory.over(unwritable.current());
    return new LastingStore(unwritable, memory);
  }
  try {
    if (memory.over(file.current())) settle(file, memory);
    return new LastingStore(file, memory);
  } catch (error) {
    file.close();
    throw error;
  }
}

function settle(file: TopologyStore, memory: StoreMemory): void {
  try {
    memory.settle(file);
  } catch (error) {
    if (isLocked(error)) throw error;
    memory.begin(file.current(), explainUnwritable(error));
  }
}

/**
 * A file that could not be opened for writing. It is read anew each time, as an apply takes long: by
 * its end there may be a file where there was none, with what was kept in memory written to it.
 */
class UnwritableFile {
  readonly #path: string;
  /** Why it cannot be written. */
  readonly obstacle: string;

  constructor(path: string, obstacle: string) {
    this.#path = path;
    this.obstacle = obstacle;
  }

  /** What is damaged, and could not be set aside, is as good as empty. */
  current(): AppliedTopology | null {
    let file: TopologyStore | undefined;
    try {
      file = TopologyStore.open(this.#path, { readOnly: true, busyTimeoutMs: 0 });
      return file.current();
    } catch (error) {
      if (isDamage(error)) return null;
      throw error;
    } finally {
      file?.close();
    }
  }

  close(): void {}
}

/** A store whose changes are kept in memory when they cannot be written. */
class LastingStore implements TopologyRows {
  readonly #file: TopologyStore | UnwritableFile;
  readonly #memory: StoreMemory;

  constructor(file: TopologyStore | UnwritableFile, memory: StoreMemory) {
    this.#file = file;
    this.#memory = memory;
  }

  current(): AppliedTopology | null {
    return this.#memory.recall(this.#file.current());
  }

  prepare(): void {
    this.#change((rows) => rows.prepare());
  }

  put(topologyId: string, versionHash: string, document: string): void {
    this.#change((rows) => rows.put(topologyId, versionHash, document));
  }

  recordError(topologyId: string, message: string, document?: string): void {
    this.#change((rows) => rows.recordError(topologyId, message, document));
  }

  clear(topologyId: string): void {
    this.#change((rows) => rows.clear(topologyId));
  }

  close(): void {
    this.#file.close();
  }

  #change(change: (rows: TopologyStore) => void): void {
    const stored = this.#file.current();
    const kept = this.#memory.over(stored);
    if (kept) return change(kept);
    if (this.#file instanceof UnwritableFile) {
      return change(this.#memory.begin(stored, this.#file.obstacle));
    }
    try {
      change(this.#file);
    } catch (error) {
      if (!isOfFile(error)) throw error;
      change(this.#memory.begin(stored, explainUnwritable(error)));
    }
  }
}

function explainUnwritable(error: unknown): string {
  return `the store cannot be written: ${explain(error)}`;
}

/** Whether the file is to blame: not what was to be written, and not somebody who holds it a while. */
function isOfFile(error: unknown): boolean {
  return !(error instanceof AlreadyApplied || error instanceof RangeError ||
    error instanceof SyntaxError || isLocked(error));
}
