import assert from "node:assert/strict";
import { TopologyStore } from "../store/mod.ts";
import type { StoreOrder } from "./store_worker.ts";
import { python } from "./python.ts";
import { storeUses } from "./store_use.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

/** Another process, as far as SQLite is concerned. */
class StoreWorker implements Disposable {
  readonly #worker = new Worker(new URL("./store_worker.ts", import.meta.url), { type: "module" });

  /** The answer to one order. */
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

function newStore(
  folder: TemporaryFolder,
  path = `${folder.path}/topology.db`,
): { path: string; store: TopologyStore } {
  const store = TopologyStore.open(path);
  store.put("A", "h1", "{}");
  return { path, store };
}

Deno.test("TopologyStore waits for another process to be done with the file", async () => {
  using folder = new TemporaryFolder();
  const { path, store } = newStore(folder);
  using other = new StoreWorker();
  for (const use of [() => store.current(), () => store.put("A", "h2", "{}")]) {
    const free = new Int32Array(new SharedArrayBuffer(4));
    assert.equal(await other.answer({ lock: path, free, ms: 300 }), "locked");
    const freed = other.answer();
    use();
    assert.equal(Atomics.load(free, 0), 1, "nothing was waited for");
    assert.equal(await freed, "free");
  }
  assert.equal(store.current()?.versionHash, "h2");
  store.close();
});

Deno.test("TopologyStore.put() lets one of several processes win that put at the same time", async () => {
  using folder = new TemporaryFolder();
  const workers = Array.from({ length: 4 }, () => new StoreWorker());
  try {
    for (let round = 0; round < 30; round++) {
      const path = `${folder.path}/${round}.db`;
      // In every other round the table is there already, so that all of them begin by reading.
      if (round % 2 === 0) newStore(folder, path).store.clear("A");
      const results = await Promise.all(
        workers.map((worker, index) => worker.answer({ put: path, id: `topology ${index}` })),
      );
      using store = TopologyStore.open(path, { readOnly: true });
      const winner = results.indexOf(null);
      assert.equal(store.current()?.topologyId, `topology ${winner}`);
      assert.equal(store.current()?.hasOlderRows, false);
      const expected = results.map((_, index) => index === winner ? null : "AlreadyApplied");
      assert.deepEqual(results, expected);
    }
  } finally {
    for (const worker of workers) worker[Symbol.dispose]();
  }
});

/** Holds the file locked, so that nobody can read it either, until its input ends. */
const pythonHolder = `
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
`;

/** How a process of its own uses the store. */
async function useElsewhere(path: string, method: string): Promise<string> {
  const program = new URL("./store_user.ts", import.meta.url).href;
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "--no-check", "--allow-read", "--allow-write", program, path, method],
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
}

Deno.test({
  name: `TopologyStore waits 5 s for a file that another program holds locked${python.suffix}`,
  ignore: python.ignore,
  async fn() {
    python.check();
    using folder = new TemporaryFolder();
    const { path, store } = newStore(folder);
    store.close();
    await using holder = new Deno.Command("python3", {
      args: ["-c", pythonHolder, path],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const reader = holder.stdout.getReader();
    await reader.read();
    const methods = Object.keys(storeUses);
    const startedAt = performance.now();
    const uses = await Promise.all(methods.map((method) => useElsewhere(path, method)));
    assert.deepEqual(uses, methods.map(() => "database is locked"));
    assert.ok(performance.now() - startedAt > 4_000);
    await holder.stdin.close();
    await reader.cancel();
    await holder.status;
    assert.deepEqual([await storeUses.setAside(path), await storeUses.current(path)], [
      "kept",
      "h1",
    ]);
  },
});
