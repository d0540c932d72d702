import assert from "node:assert/strict";
import { TemporaryFolder } from "../tests/temporary_folder.ts";
import { StoreReader, TopologyStore } from "./mod.ts";

/** SQLite's counter of changes, by which it knows whether what it has read still holds. */
function changesOf(file: Uint8Array): number {
  return new DataView(file.buffer).getUint32(24);
}

Deno.test("StoreReader.current() reads what was copied over a file, with as many changes as that had", async () => {
  using folder = new TemporaryFolder();
  const { signal } = new AbortController();
  const [path, copy] = [`${folder.path}/topology.db`, `${folder.path}/copy.db`];
  for (const [file, id] of [[path, "A"], [copy, "B"]] as const) {
    using store = TopologyStore.open(file);
    store.put(id, "h1", "{}");
  }
  const reader = new StoreReader(path);
  assert.equal((await reader.current(signal))?.topologyId, "A");
  const bytes = Deno.readFileSync(copy);
  assert.equal(changesOf(bytes), changesOf(Deno.readFileSync(path)));
  // The clock of the file system goes in steps.
  const scratch = `${folder.path}/scratch`;
  const changedAt = (file: string) => Deno.lstatSync(file).ctime!.getTime();
  do Deno.writeTextFileSync(scratch, ""); while (changedAt(scratch) === changedAt(path));
  // As cp does: the file stays the same, and its size.
  Deno.writeFileSync(path, bytes);
  assert.equal((await reader.current(signal))?.topologyId, "B");
  reader.close();
});
