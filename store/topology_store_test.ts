import assert from "node:assert/strict";
import { document, refusal, row, runSql, withStore } from "../tests/sample_store.ts";
import { AlreadyApplied, TopologyStore } from "./mod.ts";

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
