import assert from "node:assert/strict";
import {
  AlreadyApplied,
  type AppliedTopology,
  isLocked,
  openLastingStore,
  StoreMemory,
  StoreReader,
  TopologyStore,
} from "../../store/mod.ts";
import type { Chance } from "./chance.ts";
import { checkError } from "./message_oracle.ts";
import { makeStores, storeBytes } from "./stores.ts";
import type { Target } from "./target.ts";

const never = new AbortController().signal;
/** A type that does not fit, and what SQLite says; nothing else may be thrown. */
const expected = ["Error", "TypeError", "AlreadyApplied", "DamagedStore"];
const neighbours = ["-journal", "-wal", "-shm"];

/** Files at the place of the store. */
export function open(folder: string): Promise<Target> {
  const stores = makeStores(folder);
  let cases = 0;
  return Promise.resolve({
    run: async (chance) => {
      // Each has a folder of its own: whatever else lies beside the file goes with it.
      const place = `${folder}/${cases++}`;
      Deno.mkdirSync(place);
      try {
        const path = `${place}/topology.db`;
        Deno.writeFileSync(path, storeBytes(stores, chance));
        if (chance.isOneIn(8)) {
          Deno.writeFileSync(path + chance.pick(neighbours), storeBytes(stores, chance));
        }
        const whole = Deno.readFileSync(path);
        const outcomes = [await read(path), write(path, chance)];
        Deno.writeFileSync(path, whole);
        return [...outcomes, keep(path)].join("; ");
      } finally {
        Deno.removeSync(place, { recursive: true });
      }
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
}

async function read(path: string): Promise<string> {
  const reader = new StoreReader(path);
  try {
    const first = await reader.current(never);
    checkRow(first);
    // Nothing has changed meanwhile.
    assert.deepEqual(await reader.current(never), first);
    return first ? "a row" : "no row";
  } catch (error) {
    checkFailure(error);
    return "unreadable";
  } finally {
    reader.close();
  }
}

/** What a store says that it has kept is what is read from the file. */
function write(path: string, chance: Chance): string {
  let store: TopologyStore | undefined;
  const id = chance.pick(["A", "B"]);
  try {
    store = TopologyStore.open(path, { busyTimeoutMs: 0, now: () => 5_000 });
    store.prepare();
    const before = store.current();
    checkRow(before);
    if (chance.isOneIn(2)) store.recordError(id, "boom", '{"x":1.0}');
    store.put(id, "h2", '{"x":1.0}');
    const row = store.current();
    checkRow(row);
    store.clear(id);
    checkRow(store.current());
    const isKept = row?.topologyId === id && row.versionHash === "h2" && row.lastError === null;
    return isKept ? "written" : "not kept";
  } catch (error) {
    checkFailure(error);
    return "not writable";
  } finally {
    store?.close();
  }
}

/** Whatever is at its place, a lasting store keeps a topology: in the file, a new one, or memory. */
function keep(path: string): string {
  const memory = new StoreMemory();
  try {
    const store = openLastingStore(path, memory);
    try {
      const before = store.current();
      checkRow(before);
      const id = before?.topologyId ?? "A";
      store.put(id, "h3", '{"x":1.0}');
      assert.equal(store.current()?.versionHash, "h3", "what was put is not there");
      store.clear(id);
      return before ? "kept, over a row" : "kept";
    } finally {
      store.close();
    }
  } catch (error) {
    if (error instanceof AlreadyApplied) return "another is there";
    if (isLocked(error)) return "locked";
    throw error;
  }
}

function checkRow(row: AppliedTopology | null): void {
  if (row === null) return;
  assert.ok(new TextEncoder().encode(row.topologyId).length <= 1_003, "the id is too long");
  assert.equal(typeof row.versionHash, "string");
  assert.ok(Number.isSafeInteger(row.appliedAt));
  assert.equal(typeof row.document, "string");
  if (row.lastError !== null) assert.ok(row.lastError.length <= 1_000);
}

function checkFailure(error: unknown): void {
  // What node:sqlite says of a number past 2 to the 53rd.
  if (error instanceof RangeError && /too large to be represented/.test(error.message)) return;
  checkError(error, expected);
  if (error.name === "TypeError") assert.match(error.message, /^column /);
  if (error instanceof assert.AssertionError) throw error;
}
