import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { FileLock } from "../../host/lock.ts";
import { lockPathOf } from "../../store/file.ts";
import { quarantineIfDamaged } from "../../store/recovery.ts";
import { StoreReader } from "../../store/store_reader.ts";
import { TopologyStore } from "../../store/topology_store.ts";
import { TemporaryFolder } from "./environment.ts";
import type { StoreOrder } from "./programs/store_worker.ts";

/** A signal that is never aborted. */
export const never = new AbortController().signal;

/** The place of a store in a temporary folder. */
export class StorePlace implements Disposable {
  readonly #folder = new TemporaryFolder();
  readonly folder = this.#folder.path;
  readonly path = `${this.folder}/topology.db`;

  open(options?: Parameters<typeof TopologyStore.open>[1]): TopologyStore {
    return TopologyStore.open(this.path, options);
  }

  /** Puts topology A with a small document. */
  put(hash = "h1", path = this.path): void {
    using store = TopologyStore.open(path);
    store.put("A", hash, "{}");
  }

  sql(statement: string): Record<string, unknown>[] {
    return runSql(this.path, statement);
  }

  /** The names of the files in the folder, sorted. */
  names(): string[] {
    return [...Deno.readDirSync(this.folder)].map(({ name }) => name).sort();
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}

/** Another process, as far as SQLite and locks are concerned. */
export class StoreWorker implements Disposable {
  readonly #worker = new Worker(
    new URL("./programs/store_worker.ts", import.meta.url),
    { type: "module" },
  );

  /** Returns the answer to an order, or the next one. */
  async answer(order?: StoreOrder): Promise<string | null> {
    const { promise, resolve, reject } = Promise.withResolvers<string | null>();
    this.#worker.onmessage = ({ data }) => resolve(data);
    this.#worker.onerror = ({ message }) => reject(new Error(message));
    if (order) this.#worker.postMessage(order);
    return await promise;
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}

/** Runs one statement on its own connection, and returns the rows. */
export function runSql(path: string, sql: string): Record<string, unknown>[] {
  return withDatabase(path, (database) => database.prepare(sql).all());
}

/** Runs statements on their own connection. */
export function execSql(path: string, sql: string): void {
  withDatabase(path, (database) => database.exec(sql));
}

function withDatabase<T>(path: string, work: (database: DatabaseSync) => T): T {
  const database = new DatabaseSync(path);
  try {
    return work(database);
  } finally {
    database.close();
  }
}

/** Leaves the store at `path` as a crash during a change does: with the journal. */
export function crashInAChange(path: string): void {
  const database = new DatabaseSync(path);
  // With a cache of one page SQLite writes to the file before the commit.
  database.exec("PRAGMA cache_size = 1; BEGIN IMMEDIATE");
  database.prepare("UPDATE applied_topology SET applied_version_hash = 'lost', last_error = ?")
    .run("x".repeat(100_000));
  const [file, journal] = [Deno.readFileSync(path), Deno.readFileSync(`${path}-journal`)];
  database.exec("ROLLBACK");
  database.close();
  Deno.writeFileSync(`${path}-journal`, journal);
  Deno.writeFileSync(path, file);
  assert.ok(file.length > 100_000);
}

/** Writes to the store at `path` as an apply or a teardown in another process does. */
export async function asWriter(path: string, write: (store: TopologyStore) => void): Promise<void> {
  const lock = await FileLock.acquire(lockPathOf(path), { purpose: "a test" });
  try {
    using store = TopologyStore.open(path);
    write(store);
  } finally {
    lock.release();
  }
}

/** The longest time that a use of the store may take, in milliseconds: SQLite waits 5 s for a lock. */
const maximumUseMs = 8_000;

/** Each way to use the store at a path: returns a row's hash, `idle`, `done`, or an error's message. */
export const storeUses = {
  current: (path: string) =>
    resultOf(async () => {
      const reader = new StoreReader(path);
      try {
        return (await reader.current(never))?.versionHash ?? "idle";
      } finally {
        reader.close();
      }
    }),
  put: (path: string) =>
    change(path, (store) => {
      store.prepare();
      store.put("A", "new", '{"a":1}');
    }),
  recordError: (path: string) => change(path, (store) => store.recordError("A", "boom")),
  clear: (path: string) => change(path, (store) => store.clear("A")),
  quarantine: (path: string) =>
    resultOf(() => quarantineIfDamaged(path) === null ? "kept" : "set aside"),
};

/** The result of each use. */
export type StoreUse = Readonly<Record<keyof typeof storeUses, string>>;

/** Uses the store in each way, one after another, for topology A. Never throws. */
export async function useStore(path: string): Promise<StoreUse> {
  const results: Record<string, string> = {};
  for (const [name, use] of Object.entries(storeUses)) results[name] = await use(path);
  return results as StoreUse;
}

function change(path: string, work: (store: TopologyStore) => void): Promise<string> {
  return resultOf(() => {
    using store = TopologyStore.open(path);
    work(store);
    return "done";
  });
}

async function resultOf(work: () => string | Promise<string>): Promise<string> {
  const startedAt = performance.now();
  try {
    return await work();
  } catch (error) {
    assert.ok(error instanceof Error);
    return error.message;
  } finally {
    assert.ok(performance.now() - startedAt < maximumUseMs, "it took too long");
  }
}
