import { explain } from "./advice.ts";
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
    return new LastingStore(null, memory, error.message);
  }
  let file: TopologyStore;
  let obstacle: string | null = null;
  try {
    file = TopologyStore.open(path, { busyTimeoutMs: 0 });
  } catch (error) {
    obstacle = unwritable(error);
    file = TopologyStore.open(path, { readOnly: true, busyTimeoutMs: 0 });
  }
  try {
    const stored = file.current();
    if (memory.over(stored) && obstacle === null) settle(file, memory);
    return new LastingStore(file, memory, obstacle);
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
    memory.begin(file.current(), unwritable(error));
  }
}

/** A store whose changes are kept in memory when they cannot be written. */
class LastingStore implements TopologyRows {
  readonly #file: TopologyStore | null;
  readonly #memory: StoreMemory;
  /** Why the file cannot be written, as far as that is known; always where there is none. */
  readonly #obstacle: string | null;

  constructor(file: TopologyStore | null, memory: StoreMemory, obstacle: string | null) {
    this.#file = file;
    this.#memory = memory;
    this.#obstacle = obstacle;
  }

  current(): AppliedTopology | null {
    return this.#memory.recall(this.#stored());
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
    this.#file?.close();
  }

  #stored(): AppliedTopology | null {
    return this.#file?.current() ?? null;
  }

  #change(change: (rows: TopologyStore) => void): void {
    const stored = this.#stored();
    const kept = this.#memory.over(stored);
    if (kept) return change(kept);
    if (!this.#file || this.#obstacle !== null) {
      return change(this.#memory.begin(stored, this.#obstacle!));
    }
    try {
      change(this.#file);
    } catch (error) {
      if (!isOfFile(error)) throw error;
      change(this.#memory.begin(stored, unwritable(error)));
    }
  }
}

function unwritable(error: unknown): string {
  return `the store cannot be written: ${explain(error)}`;
}

/** Whether the file is to blame: not what was to be written, and not somebody who holds it a while. */
function isOfFile(error: unknown): boolean {
  return !(error instanceof AlreadyApplied || error instanceof RangeError ||
    error instanceof SyntaxError || isLocked(error));
}
