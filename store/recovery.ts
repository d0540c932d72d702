import { explain, isDamage, isLocked, look } from "./file.ts";
import type { AppliedTopology } from "./row.ts";
import { AlreadyApplied, type StoreOptions, TopologyStore } from "./topology_store.ts";

/** How many damaged files are kept. */
const maximumKept = 3;
/** What SQLite keeps beside a file, for it alone. */
const companions = ["-journal", "-wal", "-shm"];

/** What is damaged, and cannot be set aside either. */
class QuarantineError extends Error {
  override readonly name = "UnmovableStore";
}

/**
 * Sets the file at `path` aside when it is damaged, as `….corrupt-20261122T190501Z` beside it, so that
 * a new one can be begun; answers what it is called then, or null when it was in order. Of those set
 * aside earlier the two newest stay. Only for whoever holds the store's lock. Throws what SQLite says
 * when the file cannot be read for another reason, and `UnmovableStore` when it cannot be moved.
 */
export function quarantineIfDamaged(
  path: string,
  { busyTimeoutMs = 0, now = Date.now }: Omit<StoreOptions, "readOnly"> = {},
): string | null {
  const damage = findDamage(path, busyTimeoutMs);
  if (damage === null) return null;
  try {
    return quarantine(path, now());
  } catch (cause) {
    const message = `the store is damaged (${damage}), and cannot be set aside: ${explain(cause)}`;
    throw new QuarantineError(message, { cause });
  }
}

function quarantine(path: string, now: number): string {
  let time = now;
  const target = () => `${path}.corrupt-${new Date(time).toISOString().replace(/[-:]|\.\d+/g, "")}`;
  while (look(target())) time += 1000;
  Deno.renameSync(path, target());
  // Last, as a journal that is left alone undoes nothing: SQLite drops one that has no file.
  for (const companion of companions) {
    if (look(path + companion)) Deno.renameSync(path + companion, target() + companion);
  }
  const others = listQuarantined(path).filter((it) => it !== target());
  for (const old of others.slice(maximumKept - 1)) {
    for (const suffix of ["", ...companions]) {
      if (look(old + suffix)) Deno.removeSync(old + suffix);
    }
  }
  return target();
}

/** The damaged files that were set aside of the one at `path`, the newest first. */
export function listQuarantined(path: string): string[] {
  const at = path.lastIndexOf("/") + 1;
  const start = `${path.slice(at)}.corrupt-`;
  // What somebody else keeps beside them, such as a dump of one, is not ours to count or remove.
  const time = /^\d{8}T\d{6}Z$/;
  const names: string[] = [];
  try {
    for (const { name } of Deno.readDirSync(path.slice(0, at) || ".")) {
      if (name.startsWith(start) && time.test(name.slice(start.length))) names.push(name);
    }
  } catch {
    // Where the folder cannot be read, neither can the store, which says why.
  }
  return names.sort().reverse().map((name) => path.slice(0, at) + name);
}

/**
 * Reads all of the file at `path`: what is damaged in it, in words, or null. Throws what SQLite says
 * when it cannot be read for another reason, as it is locked for longer than `busyTimeoutMs`.
 */
export function findDamage(path: string, busyTimeoutMs: number): string | null {
  let store: TopologyStore | undefined;
  try {
    store = TopologyStore.open(path, { readOnly: true, busyTimeoutMs });
    store.check();
    return null;
  } catch (error) {
    if (isDamage(error)) return (error as Error).message;
    throw error;
  } finally {
    store?.close();
  }
}

/** What could not be written to a store's file, for as long as the process lives. */
export class StoreMemory {
  #kept: {
    readonly rows: TopologyStore;
    /** What the file held then. */
    readonly stored: AppliedTopology | null;
    problem: string;
  } | null = null;

  /** Why the file could not be written, or null. */
  get problem(): string | null {
    return this.#kept && `${this.#kept.problem}; what is applied is kept in memory only`;
  }

  /** Begins to keep what counts in place of the file, which holds `stored`. */
  begin(stored: AppliedTopology | null, problem: string): TopologyStore {
    if (this.#kept) this.#kept.problem = problem;
    else this.#kept = { rows: TopologyStore.inMemory(stored), stored, problem };
    return this.#kept.rows;
  }

  /** What is kept while the file holds `stored`: what another process has written there counts. */
  over(stored: AppliedTopology | null): TopologyStore | null {
    if (this.#kept && !isSame(stored, this.#kept.stored)) this.forget();
    return this.#kept?.rows ?? null;
  }

  /** What counts, given what the file holds. */
  recall(stored: AppliedTopology | null): AppliedTopology | null {
    const rows = this.over(stored);
    return rows ? rows.current() : stored;
  }

  /** Writes what is kept. Throws what SQLite says when it still cannot be written. */
  settle(file: TopologyStore): void {
    const rows = this.#kept && this.over(file.current());
    if (!rows) return;
    file.replace(rows.current());
    this.forget();
  }

  /** Keeps nothing any more. */
  forget(): void {
    this.#kept?.rows.close();
    this.#kept = null;
  }
}

function isSame(one: AppliedTopology | null, other: AppliedTopology | null): boolean {
  return one?.topologyId === other?.topologyId && one?.versionHash === other?.versionHash &&
    one?.appliedAt === other?.appliedAt && one?.lastError === other?.lastError;
}

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
  quarantineIfDamaged(path);
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
    quarantineIfDamaged(path);
  } catch (error) {
    if (!(error instanceof QuarantineError)) throw error;
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
