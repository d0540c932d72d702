import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { TemporaryFolder } from "../tests/temporary_folder.ts";
import { AlreadyApplied, TopologyStore } from "./mod.ts";

const document = '{"topology":{"id":"A"},"lans":[]}';
const sortedDocument = '{"lans":[],"topology":{"id":"A"}}';

/** Runs a test on a store of its own, whose clock stands at 1,000 s until it is moved. */
function withStore(
  test: (store: TopologyStore, more: { path: string; clock: { ms: number } }) => void,
): void {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/topology.db`;
  const clock = { ms: 1_000_999 };
  using store = TopologyStore.open(path, { now: () => clock.ms });
  test(store, { path, clock });
}

function runSql(path: string, sql: string): Record<string, unknown>[] {
  const database = new DatabaseSync(path);
  try {
    return database.prepare(sql).all();
  } finally {
    database.close();
  }
}

const row = {
  topologyId: "A",
  versionHash: "h1",
  document: sortedDocument,
  appliedAt: 1_000,
  lastError: null,
  hasOlderRows: false,
};
const refusal = {
  name: "AlreadyApplied",
  message: "agent already has topology 'A'; cannot apply 'B'",
  appliedId: "A",
};

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
    ["é\n'\"\0 |", "é\n'\"\0 |"],
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
