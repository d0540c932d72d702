import { DatabaseSync } from "node:sqlite";
import assert from "node:assert/strict";
import { oneLan, requestOf, withHost } from "../tests/support/apply_host.ts";
import { putAsFirstAgent, readAsFirstAgent } from "../tests/support/first_agent.ts";
import { python } from "../tests/support/requirements.ts";
import { execSql, never, StorePlace, StoreWorker } from "../tests/support/store.ts";
import { FallbackStore } from "./recovery.ts";
import { type AppliedTopology, RowReader } from "./row.ts";
import { StoreReader } from "./store_reader.ts";
import { AlreadyApplied, readRow, TopologyStore } from "./topology_store.ts";

/** A document whose keys are not in order, and how the store keeps it. */
const document = '{"topology":{"id":"A"},"lans":[]}';
const sortedDocument = '{"lans":[],"topology":{"id":"A"}}';
/** The row after `put("A", "h1", document)` at 1,000 s. */
const row = {
  topologyId: "A",
  versionHash: "h1",
  document: sortedDocument,
  appliedAt: 1_000,
  lastError: null,
  hasOlderRows: false,
};
/** The error when another topology comes then. */
const refusal = {
  name: "AlreadyApplied",
  message: "agent already has topology 'A'; cannot apply 'B'",
  appliedId: "A",
};

/** Runs a test with a store whose clock stands at 1,000 s until it is moved. */
function storeTest(
  title: string,
  test: (store: TopologyStore, place: StorePlace, clock: { ms: number }) => void,
): void {
  Deno.test(title, () => {
    using place = new StorePlace();
    const clock = { ms: 1_000_999 };
    using store = place.open({ now: () => clock.ms });
    test(store, place, clock);
  });
}

storeTest("TopologyStore.put() stores the sorted document and the seconds", (store) => {
  assert.equal(store.current(), null);
  store.put("A", "h1", document);
  assert.deepEqual(store.current(), row);
});

storeTest("TopologyStore.put() keeps every number of a document as written", (store) => {
  const numbers = '{"a":[1.0,1e2,-0,0.10,123456789012345678901234567890,1E+05],"x":40.0}';
  store.put("A", "h1", numbers);
  store.put("A", "h1", store.current()!.document);
  assert.equal(store.current()?.document, numbers);
});

storeTest("TopologyStore.put() replaces the same topology and its error", (store, _, clock) => {
  store.put("A", "h1", document);
  store.recordError("A", "boom");
  clock.ms = 2_000_000;
  const changed = { ...row, versionHash: "h2", document: '{"a":1}', appliedAt: 2_000 };
  for (let times = 0; times < 2; times++) {
    store.put("A", "h2", '{"a":1}');
    assert.deepEqual(store.current(), changed);
  }
});

storeTest("TopologyStore.prepare() adds nothing but the empty table", (store, place) => {
  store.prepare();
  assert.equal(store.current(), null);
  const tables = place.sql("SELECT name FROM sqlite_schema WHERE type = 'table'");
  assert.deepEqual(tables.map(({ name }) => name), ["applied_topology"]);
  store.put("A", "h1", document);
  store.prepare();
  assert.deepEqual(store.current(), row);
});

storeTest("TopologyStore.replace() replaces any row by another, or by none", (store) => {
  store.put("B", "h9", document);
  const other = { ...row, versionHash: "", appliedAt: 0, lastError: "boom" };
  store.replace(other);
  assert.deepEqual(store.current(), other);
  store.replace(null);
  assert.equal(store.current(), null);
});

Deno.test("TopologyStore.inMemory() has the same rules, and no file", () => {
  using store = TopologyStore.inMemory(row);
  assert.deepEqual(store.current(), row);
  assert.throws(() => store.put("B", "h2", document), { name: "AlreadyApplied" });
  store.recordError("A", "boom");
  assert.equal(store.current()?.lastError, "boom");
  store.clear("A");
  assert.equal(store.current(), null);
});

storeTest("TopologyStore.clear() removes one topology, so another can be put", (store, place) => {
  store.clear("A");
  assert.equal(Deno.statSync(place.path).size, 0);
  store.put("A", "h1", document);
  store.clear("B");
  store.clear("a");
  assert.deepEqual(store.current(), row);
  store.clear("A");
  assert.equal(store.current(), null);
  store.put("B", "h2", "{}");
  assert.equal(store.current()?.topologyId, "B");
});

storeTest("TopologyStore stores ids and hashes that look like SQL or numbers", (store) => {
  for (const text of ["'; DROP TABLE applied_topology; --", "007", "1e3", "é😀", ""]) {
    store.put(text, text, "{}");
    assert.equal(store.current()?.topologyId, text);
    assert.equal(store.current()?.versionHash, text);
    store.clear(text);
    assert.equal(store.current(), null);
  }
});

storeTest("TopologyStore.current() reads what another connection has put", (store, place) => {
  using other = place.open();
  const reader = RowReader.open(place.path, DatabaseSync)!;
  assert.equal(reader.current(), null);
  other.put("A", "h1", document);
  assert.equal(store.current()?.versionHash, "h1");
  assert.equal(reader.current()?.versionHash, "h1");
  assert.throws(() => store.put("B", "h2", "{}"), refusal);
  other.clear("A");
  assert.equal(reader.current(), null);
  reader.close();
  store.put("B", "h2", "{}");
  assert.equal(other.current()?.topologyId, "B");
});

storeTest("TopologyStore.recordError() adds a marker row to an idle host", (store, place) => {
  const marker = { ...row, versionHash: "", appliedAt: 0, document: "{}", lastError: "boom" };
  store.recordError("A", "boom");
  assert.deepEqual(store.current(), marker);
  assert.throws(() => store.put("B", "h2", "{}"), refusal);
  assert.throws(() => store.recordError("B", "bang"), refusal);
  assert.equal(place.sql("SELECT * FROM applied_topology").length, 1);
  store.put("A", "h1", document);
  assert.deepEqual(store.current(), row);
});

storeTest("TopologyStore.recordError() changes only the error of a topology", (store, _, clock) => {
  store.put("A", "h1", document);
  assert.throws(() => store.recordError("B", "boom", "{}"), refusal);
  assert.throws(() => store.put("B", "h2", "{}"), refusal);
  assert.throws(() => store.put("B", "h2", "{}"), AlreadyApplied);
  assert.deepEqual(store.current(), row);
  clock.ms = 2_000_000;
  store.recordError("A", "boom", '{"other":1}');
  assert.deepEqual(store.current(), { ...row, lastError: "boom" });
  store.recordError("A", "bang");
  assert.deepEqual(store.current(), { ...row, lastError: "bang" });
});

storeTest("TopologyStore.recordError() stores a document only where none is known", (store) => {
  store.recordError("A", "boom");
  store.recordError("A", "bang", document);
  assert.equal(store.current()?.document, sortedDocument);
  store.recordError("A", "bing", '{"other":1}');
  store.recordError("A", "bing");
  assert.equal(store.current()?.document, sortedDocument);
  assert.equal(store.current()?.versionHash, "");
  store.clear("A");
  store.recordError("A", "boom", document);
  assert.equal(store.current()?.document, sortedDocument);
});

storeTest("TopologyStore.recordError() stores the first 500 characters", (store) => {
  const cases: [message: string, stored: string][] = [
    ["", ""],
    ["é\n'\" |\x7f", "é\n'\" |\x7f"],
    ["x".repeat(500), "x".repeat(500)],
    ["x".repeat(501), "x".repeat(500)],
    [`${"x".repeat(499)}😀y`, `${"x".repeat(499)}😀`],
    [`${"x".repeat(500)}😀`, "x".repeat(500)],
    ["😀".repeat(600), "😀".repeat(500)],
    ["a\ud83d", "a\ufffd"],
  ];
  for (const [message, stored] of cases) {
    store.recordError("A", message);
    assert.equal(store.current()?.lastError, stored);
  }
});

storeTest("TopologyStore.put() rejects what could not be read again", (store, { path }) => {
  assert.throws(() => store.put("A", "h1", "{"), SyntaxError);
  assert.equal(Deno.statSync(path).size, 0);
  store.put("A", "h1", "{}");
  const large = `"${"x".repeat(32 * 2 ** 20)}"`;
  assert.throws(() => store.put("A", "h2", large), /over 32 MiB/);
  assert.throws(() => store.put("A", "h".repeat(1001), "{}"), /over 1000 bytes/);
  assert.throws(() => store.recordError("ü".repeat(501), "failed"), /over 1000 bytes/);
  assert.throws(() => store.recordError("A", "failed", large), /over 32 MiB/);
  assert.deepEqual(store.current(), { ...row, document: "{}" });
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
const insert = (...values: string[]) =>
  `INSERT INTO applied_topology VALUES (${values.join(", ")});`;
const older = insert("'old'", "'h1'", "'{\"a\": 1.0}'", "5", "NULL");
const newer = insert("'new'", "'h2'", "'{\"b\": 2}'", "6", "'boom'");

/** Runs a test on a store whose file another program made with these statements. */
function withForeignFile(
  sql: string,
  test: (store: TopologyStore, run: (sql: string) => void) => void,
): void {
  using place = new StorePlace();
  execSql(place.path, sql);
  using store = place.open();
  test(store, (sql) => execSql(place.path, sql));
}

Deno.test("S4 TopologyStore uses and changes the newest of two rows only", () => {
  for (const rows of [older + newer, newer + older]) {
    withForeignFile(firstAgentsTable + rows, (store) => {
      const { topologyId, lastError, hasOlderRows } = store.current()!;
      assert.deepEqual([topologyId, lastError, hasOlderRows], ["new", "boom", true]);
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
  }
});

Deno.test("TopologyStore enforces one row again after one of two was cleared", () => {
  withForeignFile(firstAgentsTable + older + newer, (store, run) => {
    store.clear("old");
    assert.equal(store.current()?.hasOlderRows, false);
    store.put("new", "h4", "{}");
    assert.throws(() => run(older), /UNIQUE constraint failed/);
  });
});

Deno.test("TopologyStore.current() names the column with a wrong type", () => {
  const noText = (column: string) =>
    new RegExp(`^CorruptStoreError: column ${column} holds no text, or too much of it$`);
  const cases: [row: string, message: RegExp][] = [
    [insert("x'00'", "'h'", "'{}'", "1", "NULL"), noText("topology_id")],
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
        // A push of the same topology repairs the row.
        store.put("A", "h2", "{}");
        assert.equal(store.current()?.versionHash, "h2", row);
      } else {
        assert.throws(() => store.put("A", "h2", "{}"), { name: "AlreadyApplied" }, row);
        assert.throws(() => store.current(), message, row);
      }
    });
  }
});

Deno.test("TopologyStore.current() reads numbers in columns of text", () => {
  withForeignFile(firstAgentsTable + insert("7", "8", "'{}'", "'9'", "10"), (store) => {
    assert.deepEqual(Object.values(store.current()!), ["7", "8", "{}", 9, "10", false]);
  });
});

/** Reads a row in which another program has set a column to a value. */
function readWith(column: string, value: string): AppliedTopology | null {
  using place = new StorePlace();
  place.put();
  execSql(place.path, `UPDATE applied_topology SET ${column} = '${value}'`);
  return readRow(place.path);
}

Deno.test("TopologyStore.current() reads the largest values, and no larger", () => {
  const large = "x".repeat(32 * 2 ** 20);
  const cases = [
    ["hydrated_blob_json", `${large}x`],
    ["topology_id", "x".repeat(2_000)],
    ["topology_id", "é".repeat(501)],
    ["applied_version_hash", "x".repeat(2_000)],
  ] as const;
  for (const [column, value] of cases) {
    const message = `column ${column} holds no text, or too much of it`;
    assert.throws(() => readWith(column, value), { name: "CorruptStoreError", message }, column);
  }
  // equal() would print the texts.
  assert.ok(readWith("hydrated_blob_json", large)?.document === large);
  assert.equal(readWith("topology_id", "é".repeat(500))?.topologyId, "é".repeat(500));
  assert.equal(readWith("applied_version_hash", "x".repeat(1_000))?.versionHash.length, 1_000);
  assert.equal(readWith("last_error", "x".repeat(1_000_000))?.lastError?.length, 500);
  assert.equal(readWith("last_error", "😀".repeat(501))?.lastError, "😀".repeat(500));
});

Deno.test("S7 TopologyStore waits until another process has released the file", async () => {
  using place = new StorePlace();
  place.put();
  using store = place.open();
  using other = new StoreWorker();
  for (const use of [() => store.current(), () => store.put("A", "h2", "{}")]) {
    const free = new Int32Array(new SharedArrayBuffer(4));
    const order = { kind: "lock", path: place.path, free, ms: 300 } as const;
    assert.equal(await other.answer(order), "locked");
    const freed = other.answer();
    use();
    assert.equal(Atomics.load(free, 0), 1, "it did not wait");
    assert.equal(await freed, "free");
  }
  assert.equal(store.current()?.versionHash, "h2");
});

Deno.test("TopologyStore.put() succeeds in one of several concurrent processes", async () => {
  using place = new StorePlace();
  const workers = Array.from({ length: 4 }, () => new StoreWorker());
  try {
    for (let round = 0; round < 30; round++) {
      const path = `${place.folder}/${round}.db`;
      using store = TopologyStore.open(path);
      // In every other round the table exists, so that all of them begin by reading.
      if (round % 2 === 0) store.prepare();
      const results = await Promise.all(
        workers.map((it, index) => it.answer({ kind: "put", path, id: `topology ${index}` })),
      );
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

/** Leaves a store with one row in WAL mode, as another program may have set it. */
function makeWalStore(path: string): void {
  {
    using store = TopologyStore.open(path);
    store.put(oneLan.plan.topologyId, "h1", oneLan.text);
  }
  execSql(
    path,
    "PRAGMA journal_mode = WAL; UPDATE applied_topology SET applied_version_hash = 'h2'",
  );
  assert.equal(Deno.readFileSync(path)[18], 2, "not in WAL mode");
}

Deno.test("S19 Applier.apply() writes to a store in WAL mode that the loop reads", () =>
  withHost(async (host) => {
    makeWalStore(host.storePath);
    const fallback = new FallbackStore(host.storePath);
    const reader = new StoreReader(host.storePath, fallback);
    try {
      const before = await reader.readStatus(never);
      assert.equal(before.kind === "ok" && before.applied.versionHash, "h2");
      await host.applier({ fallback }).apply(requestOf(oneLan), { signal: never });
      await host.assertApplied(oneLan);
      const { kind, detail } = await reader.readStatus(never);
      assert.deepEqual([kind, detail], ["ok", undefined]);
      assert.equal((await reader.current(never))?.versionHash, oneLan.versionHash);
    } finally {
      reader.close();
    }
  }));

/** What the first agent stores, and how it reads it; Python writes numbers in its own way. */
const sent = { id: "A", document: '{"a": [1.0, 1e2], "b": "é"}' };
const parsed = { a: [1, 100], b: "é" };

python.test("TopologyStore and python3's sqlite3 open each other's file", async () => {
  using place = new StorePlace();
  const { path } = place;
  await putAsFirstAgent(path, { ...sent, hash: "h1", at: 5 });
  Deno.chmodSync(path, 0o600);
  using store = place.open({ now: () => 7_000 });
  const document = '{"a": [1.0, 100.0], "b": "\\u00e9"}';
  assert.deepEqual(store.current(), { ...row, document, appliedAt: 5 });
  assert.throws(() => store.put("B", "h2", "{}"), { name: "AlreadyApplied" });
  store.put("A", "h2", sent.document);
  assert.equal(store.current()?.document, '{"a":[1.0,1e2],"b":"\\u00e9"}');
  store.recordError("A", "é😀'");
  assert.deepEqual(await readAsFirstAgent(path), [["A", "h2", parsed, 7, "é😀'"]]);
  // Its upsert still works for the same topology, and no more for another.
  const rows = [["A", "h3", parsed, 8, null]];
  assert.deepEqual(await putAsFirstAgent(path, { ...sent, hash: "h3", at: 8 }), rows);
  const other = putAsFirstAgent(path, { ...sent, id: "B", hash: "h4", at: 9 });
  await assert.rejects(other, /UNIQUE constraint failed/);
  assert.deepEqual(await readAsFirstAgent(path), rows);
  assert.equal(store.current()?.versionHash, "h3");
});
