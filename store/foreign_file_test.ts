import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { TemporaryFolder } from "../tests/temporary_folder.ts";
import { TopologyStore } from "./mod.ts";

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

Deno.test("TopologyStore changes the newest of two rows, and refuses to change the other", () => {
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
    new RegExp(`^DamagedStore: column ${column} holds no text, or too much of it$`);
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
