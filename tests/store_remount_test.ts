import assert from "node:assert/strict";
import { openLastingStore, StoreMemory, StoreReader } from "../store/mod.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

const never = new AbortController().signal;

Deno.test("openLastingStore() keeps what an apply ends with when its folder can be written only by then", async () => {
  using folder = new TemporaryFolder();
  // There is nothing where the link leads to: no file can be made, nor read.
  Deno.symlinkSync(`${folder.path}/later`, `${folder.path}/state`);
  const path = `${folder.path}/state/topology.db`;
  const memory = new StoreMemory();
  const apply = openLastingStore(path, memory);
  apply.recordError("A", "the apply is under way", "{}");
  assert.match(memory.problem ?? "", /cannot be written/);
  Deno.mkdirSync(`${folder.path}/later`);
  // As the next beat does.
  openLastingStore(path, memory).close();
  assert.equal(memory.problem, null);
  apply.put("A", "h1", '{"a":1}');
  assert.equal(apply.current()?.versionHash, "h1");
  apply.close();
  const reader = new StoreReader(path);
  assert.equal(memory.recall(await reader.current(never))?.versionHash, "h1");
  openLastingStore(path, memory).close();
  const stored = await reader.current(never);
  assert.deepEqual([stored?.versionHash, stored?.lastError, memory.problem], ["h1", null, null]);
  reader.close();
});
