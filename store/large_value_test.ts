import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { TemporaryFolder } from "../tests/temporary_folder.ts";
import { type AppliedTopology, TopologyStore } from "./mod.ts";

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
    const name = "DamagedStore";
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
