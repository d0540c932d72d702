import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";

/** Leaves the store at `path` as a crash in the middle of a change does: the journal is still there. */
export function crashInAChange(path: string): void {
  const database = new DatabaseSync(path);
  // A cache of one page makes SQLite write to the file before the commit.
  database.exec("PRAGMA cache_size = 1; BEGIN IMMEDIATE");
  database.prepare("UPDATE applied_topology SET applied_version_hash = 'lost', last_error = ?")
    .run("x".repeat(100_000));
  const [file, journal] = [Deno.readFileSync(path), Deno.readFileSync(`${path}-journal`)];
  database.exec("ROLLBACK");
  database.close();
  Deno.writeFileSync(`${path}-journal`, journal);
  Deno.writeFileSync(path, file);
  assert.ok(file.length > 100_000);
}
