import type { DatabaseSync } from "node:sqlite";

/** The table and its columns are those of the first agent: either can open the other's file. */
const createTable = `
  CREATE TABLE IF NOT EXISTS applied_topology (
    topology_id TEXT PRIMARY KEY,
    applied_version_hash TEXT NOT NULL,
    hydrated_blob_json TEXT NOT NULL,
    applied_at INTEGER NOT NULL,
    last_error TEXT
  )`;

/** Every row has the same value in this index, so there can be but one. */
const createOneRowIndex = `
  CREATE UNIQUE INDEX IF NOT EXISTS applied_topology_one_row ON applied_topology ((1))`;

/**
 * Creates what is missing. The index cannot be made on a file that holds two rows already; then the
 * rows stay as they are, and each reading reports them.
 */
export function createSchema(database: DatabaseSync): void {
  database.exec(createTable);
  const { rows } = database.prepare(
    "SELECT count(*) AS rows FROM applied_topology",
  ).get()!;
  if (Number(rows) <= 1) database.exec(createOneRowIndex);
}
