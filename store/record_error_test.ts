import assert from "node:assert/strict";
import {
  document,
  refusal,
  row,
  runSql,
  sortedDocument,
  withStore,
} from "../tests/sample_store.ts";

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
