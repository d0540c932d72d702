/** Everything that the agent does with a store, and how each of it ended. */

import assert from "node:assert/strict";
import { setAsideIfDamaged, StoreReader, TopologyStore } from "../store/mod.ts";

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
  setAside: (path: string) => ended(() => setAsideIfDamaged(path) === null ? "kept" : "set aside"),
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
    setAside: await storeUses.setAside(path),
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
