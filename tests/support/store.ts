import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { FileLock } from "../../host/lock.ts";
import { lockPathOf } from "../../store/file.ts";
import { quarantineIfDamaged } from "../../store/recovery.ts";
import { StoreReader } from "../../store/store_reader.ts";
import { TopologyStore } from "../../store/topology_store.ts";
import { TemporaryFolder } from "./environment.ts";

/** A document whose keys are not in order. */
export const document = '{"topology":{"id":"A"},"lans":[]}';
/** The same as the store keeps it. */
export const sortedDocument = '{"lans":[],"topology":{"id":"A"}}';

/** Runs a test on a store of its own, whose clock stands at 1,000 s until it is moved. */
export function withStore(
  test: (store: TopologyStore, more: { path: string; clock: { ms: number } }) => void,
): void {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/topology.db`;
  const clock = { ms: 1_000_999 };
  using store = TopologyStore.open(path, { now: () => clock.ms });
  test(store, { path, clock });
}

/** Runs one statement on a connection of its own, and answers the rows. */
export function runSql(path: string, sql: string): Record<string, unknown>[] {
  const database = new DatabaseSync(path);
  try {
    return database.prepare(sql).all();
  } finally {
    database.close();
  }
}

/** The row after `put("A", "h1", document)`. */
export const row = {
  topologyId: "A",
  versionHash: "h1",
  document: sortedDocument,
  appliedAt: 1_000,
  lastError: null,
  hasOlderRows: false,
};
/** The error when another topology than A comes then. */
export const refusal = {
  name: "AlreadyApplied",
  message: "agent already has topology 'A'; cannot apply 'B'",
  appliedId: "A",
};

/** Leaves the store at `path` as a crash in the middle of a change does: the journal is still there. */
export function crashInAChange(path: string): void {
  const database = new DatabaseSync(path);
  // A cache of one page makes SQLite write to the file before the commit.
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
export async function asWriter(
  path: string,
  write: (store: TopologyStore) => void,
): Promise<void> {
  const { signal } = new AbortController();
  const lock = await FileLock.acquire(lockPathOf(path), { purpose: "a test", signal });
  {
    using store = TopologyStore.open(path);
    write(store);
  }
  lock.release();
}

/** Everything that the agent does with a store, and how each of it ended. */

/** So long at most, in milliseconds: SQLite waits 5 s for a lock. */
const limitMs = 8_000;
const never = new AbortController().signal;

/** Each way to use the store at a path: a row's hash, `idle`, `done`, or the error's message. */
export const storeUses = {
  current: (path: string) =>
    ended(async () => {
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
    ended(() => quarantineIfDamaged(path) === null ? "kept" : "set aside"),
};

/** How each use ended. */
export type StoreUse = Readonly<Record<keyof typeof storeUses, string>>;

/** Uses the store in each way, one after another, for topology A. Never throws. */
export async function useStore(path: string): Promise<StoreUse> {
  return {
    current: await storeUses.current(path),
    put: await storeUses.put(path),
    recordError: await storeUses.recordError(path),
    clear: await storeUses.clear(path),
    quarantine: await storeUses.quarantine(path),
  };
}

function change(path: string, work: (store: TopologyStore) => void): Promise<string> {
  return ended(() => {
    using store = TopologyStore.open(path);
    work(store);
    return "done";
  });
}

async function ended(work: () => string | Promise<string>): Promise<string> {
  const startedAt = performance.now();
  try {
    return await work();
  } catch (error) {
    assert.ok(error instanceof Error);
    return error.message;
  } finally {
    assert.ok(performance.now() - startedAt < limitMs, "it took too long");
  }
}
