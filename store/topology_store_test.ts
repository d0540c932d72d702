import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { oneLan, requestOf, withHost } from "../tests/support/apply_host.ts";
import { TemporaryFolder } from "../tests/support/environment.ts";
import type { StoreOrder } from "../tests/support/programs/store_worker.ts";
import { python, runPython } from "../tests/support/requirements.ts";
import {
  document,
  refusal,
  row,
  runSql,
  sortedDocument,
  storeUses,
  withStore,
} from "../tests/support/store.ts";
import { FallbackStore } from "./recovery.ts";
import type { AppliedTopology } from "./row.ts";
import { StoreReader } from "./store_reader.ts";
import { AlreadyApplied, TopologyStore } from "./topology_store.ts";

Deno.test("TopologyStore.current() answers null on an idle host", () => {
  withStore((store) => assert.equal(store.current(), null));
});

Deno.test("TopologyStore.put() keeps a topology, its keys sorted, with the time in seconds", () => {
  withStore((store) => {
    store.put("A", "h1", document);
    assert.deepEqual(store.current(), row);
  });
});

Deno.test("TopologyStore.put() keeps every number of a document to the letter", () => {
  withStore((store) => {
    const numbers = '{"a":[1.0,1e2,-0,0.10,123456789012345678901234567890,1E+05],"x":40.0}';
    store.put("A", "h1", numbers);
    store.put("A", "h1", store.current()!.document);
    assert.equal(store.current()?.document, numbers);
  });
});

Deno.test("TopologyStore.put() replaces the same topology and forgets its error", () => {
  withStore((store, { clock }) => {
    store.put("A", "h1", document);
    store.recordError("A", "boom");
    clock.ms = 2_000_000;
    store.put("A", "h2", '{"a":1}');
    assert.deepEqual(store.current(), {
      ...row,
      versionHash: "h2",
      document: '{"a":1}',
      appliedAt: 2_000,
    });
    store.put("A", "h2", '{"a":1}');
    assert.equal(store.current()?.versionHash, "h2");
  });
});

Deno.test("TopologyStore.put() refuses a second topology and leaves the first as it was", () => {
  withStore((store) => {
    store.put("A", "h1", document);
    store.recordError("A", "boom");
    assert.throws(() => store.put("B", "h2", "{}"), refusal);
    assert.throws(() => store.put("B", "h2", "{}"), AlreadyApplied);
    assert.deepEqual(store.current(), { ...row, lastError: "boom" });
  });
});

Deno.test("TopologyStore.put() refuses what is no JSON and keeps nothing of it", () => {
  withStore((store, { path }) => {
    assert.throws(() => store.put("A", "h1", "{"), SyntaxError);
    assert.equal(store.current(), null);
    assert.equal(Deno.statSync(path).size, 0);
  });
});

Deno.test("TopologyStore.prepare() leaves nothing behind but the empty table", () => {
  withStore((store, { path }) => {
    store.prepare();
    assert.equal(store.current(), null);
    const tables = runSql(path, "SELECT name FROM sqlite_schema WHERE type = 'table'");
    assert.deepEqual(tables.map(({ name }) => name), ["applied_topology"]);
    store.put("A", "h1", document);
    store.prepare();
    assert.deepEqual(store.current(), row);
  });
});

Deno.test("TopologyStore.replace() puts a row as it is, or none, in the place of any", () => {
  withStore((store) => {
    store.put("B", "h9", document);
    const other = { ...row, versionHash: "", appliedAt: 0, lastError: "boom" };
    store.replace(other);
    assert.deepEqual(store.current(), other);
    store.replace(null);
    assert.equal(store.current(), null);
  });
});

Deno.test("TopologyStore.inMemory() keeps the same rules, and no file", () => {
  const store = TopologyStore.inMemory(row);
  assert.deepEqual(store.current(), row);
  assert.throws(() => store.put("B", "h2", document), { name: "AlreadyApplied" });
  store.recordError("A", "boom");
  assert.equal(store.current()?.lastError, "boom");
  store.clear("A");
  assert.equal(store.current(), null);
  store.close();
});

Deno.test("TopologyStore.clear() forgets a topology, and then another can be put", () => {
  withStore((store) => {
    store.put("A", "h1", document);
    store.clear("A");
    assert.equal(store.current(), null);
    store.put("B", "h2", "{}");
    assert.equal(store.current()?.topologyId, "B");
  });
});

Deno.test("TopologyStore.clear() does nothing for a topology that is not there", () => {
  withStore((store, { path }) => {
    store.clear("A");
    assert.equal(Deno.statSync(path).size, 0);
    store.put("A", "h1", document);
    store.clear("B");
    store.clear("a");
    assert.deepEqual(store.current(), row);
  });
});

Deno.test("TopologyStore keeps ids and hashes that look like SQL or numbers as they are", () => {
  withStore((store) => {
    for (const text of ["'; DROP TABLE applied_topology; --", "007", "1e3", "é😀", ""]) {
      store.put(text, text, "{}");
      assert.equal(store.current()?.topologyId, text);
      assert.equal(store.current()?.versionHash, text);
      store.clear(text);
      assert.equal(store.current(), null);
    }
  });
});

Deno.test("TopologyStore's file refuses a second row from another program, too", () => {
  withStore((store, { path }) => {
    store.put("A", "h1", document);
    const upsert = (id: string) =>
      runSql(
        path,
        `INSERT INTO applied_topology VALUES ('${id}', 'h9', '{}', 9, NULL)
         ON CONFLICT (topology_id) DO UPDATE SET applied_version_hash = 'h9', applied_at = 9`,
      );
    assert.throws(() => upsert("B"), /UNIQUE constraint failed/);
    assert.deepEqual(store.current(), row);
    upsert("A");
    assert.deepEqual(store.current(), { ...row, versionHash: "h9", appliedAt: 9 });
  });
});

Deno.test("TopologyStore.current() sees at once what another connection has put", () => {
  withStore((store, { path }) => {
    using other = TopologyStore.open(path);
    using reader = TopologyStore.open(path, { readOnly: true });
    assert.equal(reader.current(), null);
    other.put("A", "h1", document);
    assert.equal(store.current()?.versionHash, "h1");
    assert.equal(reader.current()?.versionHash, "h1");
    assert.throws(() => store.put("B", "h2", "{}"), refusal);
    other.clear("A");
    assert.equal(reader.current(), null);
    store.put("B", "h2", "{}");
    assert.equal(other.current()?.topologyId, "B");
  });
});

Deno.test("TopologyStore.recordError() leaves a marker where nothing was applied", () => {
  withStore((store) => {
    store.recordError("A", "boom");
    const marker = { ...row, versionHash: "", appliedAt: 0, document: "{}", lastError: "boom" };
    assert.deepEqual(store.current(), marker);
    assert.throws(() => store.put("B", "h2", "{}"), refusal);
    store.put("A", "h1", document);
    assert.deepEqual(store.current(), row);
  });
});

Deno.test("TopologyStore.recordError() keeps the document with the marker", () => {
  withStore((store) => {
    store.recordError("A", "boom", document);
    assert.equal(store.current()?.document, sortedDocument);
  });
});

Deno.test("TopologyStore.recordError() changes nothing but the error of what was applied", () => {
  withStore((store, { clock }) => {
    store.put("A", "h1", document);
    clock.ms = 2_000_000;
    store.recordError("A", "boom", '{"other":1}');
    assert.deepEqual(store.current(), { ...row, lastError: "boom" });
    store.recordError("A", "bang");
    assert.deepEqual(store.current(), { ...row, lastError: "bang" });
  });
});

Deno.test("TopologyStore.recordError() fills in a document where none was known, and only there", () => {
  withStore((store) => {
    store.recordError("A", "boom");
    store.recordError("A", "bang", document);
    assert.equal(store.current()?.document, sortedDocument);
    store.recordError("A", "bing", '{"other":1}');
    store.recordError("A", "bing");
    assert.equal(store.current()?.document, sortedDocument);
    assert.equal(store.current()?.versionHash, "");
  });
});

Deno.test("TopologyStore.recordError() refuses another topology and leaves a single row", () => {
  withStore((store, { path }) => {
    store.put("A", "h1", document);
    assert.throws(() => store.recordError("B", "boom", "{}"), refusal);
    assert.deepEqual(store.current(), row);
    store.clear("A");
    store.recordError("A", "boom");
    assert.throws(() => store.recordError("B", "bang"), refusal);
    assert.equal(runSql(path, "SELECT * FROM applied_topology").length, 1);
  });
});

Deno.test("TopologyStore.recordError() keeps the first 500 characters", () => {
  const cases: [message: string, kept: string][] = [
    ["", ""],
    ["é\n'\" |\x7f", "é\n'\" |\x7f"],
    ["x".repeat(500), "x".repeat(500)],
    ["x".repeat(501), "x".repeat(500)],
    [`${"x".repeat(499)}😀y`, `${"x".repeat(499)}😀`],
    [`${"x".repeat(500)}😀`, "x".repeat(500)],
    ["😀".repeat(600), "😀".repeat(500)],
    ["a\ud83d", "a\ufffd"],
  ];
  for (const [message, kept] of cases) {
    withStore((store) => {
      store.recordError("A", message);
      assert.equal(store.current()?.lastError, kept);
    });
  }
});

/** The table as the first agent makes it: without our index. */
const firstAgentsTable = `
  CREATE TABLE applied_topology (
    topology_id TEXT PRIMARY KEY,
    applied_version_hash TEXT NOT NULL,
    hydrated_blob_json TEXT NOT NULL,
    applied_at INTEGER NOT NULL,
    last_error TEXT
  );`;

/** Runs a test on a store whose file another program made with these statements. */
function withForeignFile(
  sql: string,
  test: (store: TopologyStore, run: (sql: string) => void) => void,
): void {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/topology.db`;
  const run = (sql: string) => {
    const database = new DatabaseSync(path);
    try {
      database.exec(sql);
    } finally {
      database.close();
    }
  };
  run(sql);
  using store = TopologyStore.open(path);
  test(store, run);
}

const insert = (...values: string[]) =>
  `INSERT INTO applied_topology VALUES (${values.join(", ")});`;
const older = insert("'old'", "'h1'", "'{\"a\": 1.0}'", "5", "NULL");
const newer = insert("'new'", "'h2'", "'{\"b\": 2}'", "6", "'boom'");

Deno.test("TopologyStore opens the first agent's file and enforces one row from the first change on", () => {
  withForeignFile(firstAgentsTable + older, (store, run) => {
    assert.deepEqual(store.current(), {
      topologyId: "old",
      versionHash: "h1",
      document: '{"a": 1.0}',
      appliedAt: 5,
      lastError: null,
      hasOlderRows: false,
    });
    store.put("old", "h3", '{"a": 1.0}');
    assert.equal(store.current()?.document, '{"a":1.0}');
    assert.throws(() => run(newer), /UNIQUE constraint failed/);
  });
});

Deno.test("TopologyStore lets the newest of two rows win and says that there are more", () => {
  for (const rows of [older + newer, newer + older]) {
    withForeignFile(firstAgentsTable + rows, (store) => {
      assert.equal(store.current()?.topologyId, "new");
      assert.equal(store.current()?.lastError, "boom");
      assert.equal(store.current()?.hasOlderRows, true);
    });
  }
});

Deno.test("S4 TopologyStore changes the newest of two rows only", () => {
  withForeignFile(firstAgentsTable + older + newer, (store) => {
    store.recordError("new", "bang");
    assert.equal(store.current()?.lastError, "bang");
    store.put("new", "h4", "{}");
    assert.equal(store.current()?.versionHash, "h4");
    assert.equal(store.current()?.lastError, null);
    for (const id of ["old", "other"]) {
      const message = `agent already has topology 'new'; cannot apply '${id}'`;
      assert.throws(() => store.put(id, "h5", "{}"), { name: "AlreadyApplied", message });
      assert.throws(() => store.recordError(id, "boom"), { name: "AlreadyApplied", message });
    }
    assert.equal(store.current()?.hasOlderRows, true);
  });
});

Deno.test("TopologyStore enforces one row again when one of two was cleared", () => {
  withForeignFile(firstAgentsTable + older + newer, (store, run) => {
    store.clear("old");
    assert.equal(store.current()?.hasOlderRows, false);
    store.put("new", "h4", "{}");
    assert.throws(() => run(older), /UNIQUE constraint failed/);
  });
});

Deno.test("TopologyStore finds its columns by name, among others and in another order", () => {
  const table = `CREATE TABLE applied_topology (
    extra TEXT DEFAULT 'x', last_error TEXT, applied_at INTEGER NOT NULL,
    hydrated_blob_json TEXT NOT NULL, applied_version_hash TEXT NOT NULL, topology_id TEXT PRIMARY KEY
  )`;
  withForeignFile(table, (store) => {
    store.recordError("A", "boom");
    store.put("A", "h1", "{}");
    const { topologyId, versionHash, document, lastError } = store.current()!;
    assert.deepEqual([topologyId, versionHash, document, lastError], ["A", "h1", "{}", null]);
  });
});

Deno.test("TopologyStore takes a file with other tables for an idle host, and leaves those", () => {
  withForeignFile("CREATE TABLE other (a); INSERT INTO other VALUES (1)", (store, run) => {
    assert.equal(store.current(), null);
    store.put("A", "h1", "{}");
    run("UPDATE other SET a = 2");
  });
});

Deno.test("TopologyStore.current() names the column that holds what it must not", () => {
  const noText = (column: string) =>
    new RegExp(`^CorruptStoreError: column ${column} holds no text, or too much of it$`);
  const cases: [row: string, message: RegExp][] = [
    [insert("x'00'", "'h'", "'{}'", "1", "NULL"), noText("topology_id")],
    [insert("NULL", "'h'", "'{}'", "1", "NULL"), noText("topology_id")],
    [insert("'A'", "x'00'", "'{}'", "1", "NULL"), noText("applied_version_hash")],
    [insert("'A'", "'h'", "x'7b7d'", "1", "NULL"), noText("hydrated_blob_json")],
    [insert("'A'", "'h'", "'{}'", "'soon'", "NULL"), /column applied_at holds no whole number$/],
    [insert("'A'", "'h'", "'{}'", "1.5", "NULL"), /column applied_at holds no whole number$/],
    [insert("'A'", "'h'", "'{}'", "9007199254740993", "NULL"), /holds no whole number$/],
    [insert("'A'", "'h'", "'{}'", "1", "x'00'"), noText("last_error")],
  ];
  for (const [row, message] of cases) {
    withForeignFile(firstAgentsTable + row, (store) => {
      assert.throws(() => store.current(), message, row);
      if (row.includes("VALUES ('A'")) {
        // A push of the same topology mends the row.
        store.put("A", "h2", "{}");
        assert.equal(store.current()?.versionHash, "h2", row);
      } else {
        assert.throws(() => store.put("A", "h2", "{}"), { name: "AlreadyApplied" }, row);
        assert.throws(() => store.current(), message, row);
      }
    });
  }
});

Deno.test("TopologyStore.current() takes numbers that another program left in columns of text", () => {
  withForeignFile(firstAgentsTable + insert("7", "8", "'{}'", "'9'", "10"), (store) => {
    assert.deepEqual(Object.values(store.current()!), ["7", "8", "{}", 9, "10", false]);
  });
});

Deno.test("TopologyStore refuses a table that lacks a column", () => {
  withForeignFile("CREATE TABLE applied_topology (topology_id TEXT PRIMARY KEY)", (store) => {
    assert.throws(() => store.current(), /no such column: applied_version_hash/);
    assert.throws(() => store.put("A", "h", "{}"), /no such column|no column named/);
  });
});

/** What a store answers in whose one row another program has set a column to a value. */
function readWith(column: string, value: string): AppliedTopology | null {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/topology.db`;
  using store = TopologyStore.open(path);
  store.put("A", "h1", "{}");
  const database = new DatabaseSync(path);
  database.prepare(`UPDATE applied_topology SET ${column} = ?`).run(value);
  database.close();
  using reading = TopologyStore.open(path, { readOnly: true });
  return reading.current();
}

Deno.test("TopologyStore.current() refuses a value that is larger than any should be", () => {
  const cases = [
    ["hydrated_blob_json", "x".repeat(33 * 2 ** 20)],
    ["topology_id", "x".repeat(2_000)],
    ["topology_id", "é".repeat(501)],
    ["applied_version_hash", "x".repeat(2_000)],
  ] as const;
  for (const [column, value] of cases) {
    const name = "CorruptStoreError";
    const message = `column ${column} holds no text, or too much of it`;
    assert.throws(() => readWith(column, value), { name, message }, column);
  }
});

Deno.test("TopologyStore.current() reads the largest value that may be", () => {
  const document = "x".repeat(32 * 2 ** 20);
  // Not by equal(), which would print the texts.
  assert.ok(readWith("hydrated_blob_json", document)?.document === document);
  assert.equal(readWith("topology_id", "é".repeat(500))?.topologyId, "é".repeat(500));
  assert.equal(readWith("applied_version_hash", "x".repeat(1_000))?.versionHash.length, 1_000);
});

Deno.test("TopologyStore.current() reads the first 500 characters of an error", () => {
  assert.equal(readWith("last_error", "x".repeat(1_000_000))?.lastError?.length, 500);
  assert.equal(readWith("last_error", "😀".repeat(501))?.lastError, "😀".repeat(500));
});

Deno.test("TopologyStore.put() refuses what could not be read again, and writes nothing", () => {
  using folder = new TemporaryFolder();
  using store = TopologyStore.open(`${folder.path}/topology.db`);
  store.put("A", "h1", "{}");
  const large = `"${"x".repeat(32 * 2 ** 20)}"`;
  assert.throws(() => store.put("A", "h2", large), /over 32 MiB/);
  assert.throws(() => store.put("A", "h".repeat(1001), "{}"), /over 1000 bytes/);
  assert.throws(() => store.recordError("ü".repeat(501), "failed"), /over 1000 bytes/);
  assert.throws(() => store.recordError("A", "failed", large), /over 32 MiB/);
  assert.equal(store.current()?.versionHash, "h1");
  assert.equal(store.current()?.lastError, null);
});

/** Another process, as far as SQLite is concerned. */
class StoreWorker implements Disposable {
  readonly #worker = new Worker(
    new URL("../tests/support/programs/store_worker.ts", import.meta.url),
    { type: "module" },
  );

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

Deno.test("S7 TopologyStore waits until another process has released the file", async () => {
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
  const program = new URL("../tests/support/programs/store_user.ts", import.meta.url).href;
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
    assert.deepEqual([await storeUses.quarantine(path), await storeUses.current(path)], [
      "kept",
      "h1",
    ]);
  },
});

const never = new AbortController().signal;

/** Leaves a store with one row in WAL mode, as another program may have set it. */
function makeWalStore(path: string): void {
  {
    using store = TopologyStore.open(path);
    store.put(oneLan.plan.topologyId, "h1", oneLan.text);
  }
  const database = new DatabaseSync(path);
  assert.equal(database.prepare("PRAGMA journal_mode = WAL").get()?.journal_mode, "wal");
  database.exec("UPDATE applied_topology SET applied_version_hash = 'h2'");
  database.close();
}

Deno.test("S19 StoreReader.current() blocks no writer of a store in WAL mode", async () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/topology.db`;
  makeWalStore(path);
  const reader = new StoreReader(path);
  try {
    for (let reading = 0; reading < 2; reading++) {
      assert.equal((await reader.current(never))?.versionHash, "h2");
    }
    {
      using store = TopologyStore.open(path, { busyTimeoutMs: 0 });
      store.put(oneLan.plan.topologyId, "h3", "{}");
    }
    assert.equal((await reader.current(never))?.versionHash, "h3");
  } finally {
    reader.close();
  }
});

Deno.test("S19 Applier.apply() writes to a store in WAL mode that the loop reads", () =>
  withHost(async (host) => {
    makeWalStore(host.storePath);
    const memory = new FallbackStore(host.storePath);
    const reader = new StoreReader(host.storePath, memory);
    try {
      const snapshot = await reader.readStatus(never);
      assert.equal(snapshot.state === "ok" && snapshot.applied.versionHash, "h2");
      await host.applier({ memory }).apply(requestOf(oneLan), { signal: never });
      await host.assertApplied(oneLan);
      const { state, detail } = await reader.readStatus(never);
      assert.deepEqual([state, detail], ["ok", undefined]);
    } finally {
      reader.close();
    }
  }));

/** Opens the file as the first agent does, runs each argument as SQL and prints the rows. */
const program = `
import json, sqlite3, sys
path, *statements = sys.argv[1:]
connection = sqlite3.connect(path)
connection.execute("""CREATE TABLE IF NOT EXISTS applied_topology (
    topology_id TEXT PRIMARY KEY, applied_version_hash TEXT NOT NULL,
    hydrated_blob_json TEXT NOT NULL, applied_at INTEGER NOT NULL, last_error TEXT)""")
problem = None
try:
    for statement in statements:
        connection.execute(statement)
    connection.commit()
except sqlite3.Error as error:
    problem = str(error)
    connection.rollback()
rows = connection.execute("SELECT * FROM applied_topology ORDER BY applied_at").fetchall()
print(json.dumps([problem, rows]))
`;

const upsert = (id: string, hash: string, at: number, error = "NULL") =>
  `INSERT INTO applied_topology VALUES ('${id}', '${hash}', '{"a": [1.0, 1e2], "b": "é"}', ${at}, ${error})
   ON CONFLICT(topology_id) DO UPDATE SET applied_version_hash = excluded.applied_version_hash,
     hydrated_blob_json = excluded.hydrated_blob_json, applied_at = excluded.applied_at, last_error = NULL`;

function pythonTest(name: string, test: (path: string) => Promise<void>): void {
  Deno.test({
    name: name + python.suffix,
    ignore: python.ignore,
    async fn() {
      python.check();
      using folder = new TemporaryFolder();
      await test(`${folder.path}/topology.db`);
    },
  });
}

async function runSqlPythonStore(
  path: string,
  ...statements: string[]
): Promise<[string | null, unknown[][]]> {
  return JSON.parse(await runPython(program, path, ...statements));
}

pythonTest(
  "a store made by python3's sqlite3 opens as it is, and python3 opens ours",
  async (path) => {
    await runSqlPythonStore(path, upsert("A", "h1", 5));
    Deno.chmodSync(path, 0o600);
    const document = '{"a": [1.0, 1e2], "b": "é"}';
    using store = TopologyStore.open(path, { now: () => 7_000 });
    assert.deepEqual(store.current(), {
      topologyId: "A",
      versionHash: "h1",
      document,
      appliedAt: 5,
      lastError: null,
      hasOlderRows: false,
    });
    assert.throws(() => store.put("B", "h2", "{}"), { name: "AlreadyApplied" });
    store.put("A", "h2", document);
    store.recordError("A", "é😀'");
    assert.deepEqual(await runSqlPythonStore(path), [
      null,
      [["A", "h2", '{"a":[1.0,1e2],"b":"\\u00e9"}', 7, "é😀'"]],
    ]);
    // Its upsert of the same topology still works, and of another one no more.
    assert.deepEqual(await runSqlPythonStore(path, upsert("A", "h3", 8)), [null, [[
      "A",
      "h3",
      document,
      8,
      null,
    ]]]);
    const [problem, rows] = await runSqlPythonStore(path, upsert("B", "h4", 9));
    assert.match(problem ?? "", /UNIQUE constraint failed/);
    assert.deepEqual(rows, [["A", "h3", document, 8, null]]);
    assert.equal(store.current()?.versionHash, "h3");
  },
);

pythonTest(
  "a store with two rows by python3 opens: the newest wins and can be put",
  async (path) => {
    await runSqlPythonStore(path, upsert("new", "h2", 6, "'boom'"), upsert("old", "h1", 5));
    using store = TopologyStore.open(path, { now: () => 7_000 });
    assert.equal(store.current()?.topologyId, "new");
    assert.equal(store.current()?.hasOlderRows, true);
    store.put("new", "h3", "{}");
    assert.equal(store.current()?.versionHash, "h3");
    assert.throws(() => store.put("old", "h4", "{}"), { name: "AlreadyApplied" });
    const [, rows] = await runSqlPythonStore(path);
    assert.deepEqual(rows.map(([id, hash]) => [id, hash]), [["old", "h1"], ["new", "h3"]]);
  },
);
