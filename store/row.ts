import type { DatabaseSync, SQLOutputValue } from "node:sqlite";

/** How long an id or a hash may be, and a document with its keys sorted, in bytes. */
const maximumIdBytes = 1000;
export const maximumDocumentBytes = 32 * 2 ** 20;
/** How much of an error is kept, in characters. */
export const maximumErrorLength = 500;

/** What was applied last. */
export interface AppliedTopology {
  readonly topologyId: string;
  /** Empty when nothing was applied yet and only an error is recorded. */
  readonly versionHash: string;
  /** JSON text, keys sorted; `{}` when unknown. */
  readonly document: string;
  /** Unix time in seconds; 0 when nothing was applied yet. */
  readonly appliedAt: number;
  /** Null when the last apply succeeded. */
  readonly lastError: string | null;
  /** The file holds further rows, which are ignored: an older agent could be made to write them. */
  readonly hasOlderRows: boolean;
}

/** The file holds what it must not, though SQLite could read it. */
export class CorruptStoreError extends Error {
  override readonly name = "DamagedStore";
}

/** SQLite lets a column hold any type: what another program wrote is checked here. */
export function readRow(
  [topologyId, versionHash, document, appliedAt, lastError]: SQLOutputValue[],
  hasOlderRows: boolean,
): AppliedTopology {
  return {
    topologyId: text(topologyId, "topology_id"),
    versionHash: text(versionHash, "applied_version_hash"),
    document: json(document, "hydrated_blob_json"),
    appliedAt: integer(appliedAt, "applied_at"),
    lastError: lastError === null ? null : text(lastError, "last_error"),
    hasOlderRows,
  };
}

function text(value: SQLOutputValue | undefined, column: string): string {
  if (typeof value === "string") return value;
  throw new CorruptStoreError(`column ${column} holds no text, or too much of it`);
}

function json(value: SQLOutputValue | undefined, column: string): string {
  const document = text(value, column);
  // What SQLite reads behind the end of a file that was cut short is zero.
  if (!document.includes("\0")) return document;
  throw new CorruptStoreError(`column ${column} holds a zero byte`);
}

function integer(value: SQLOutputValue | undefined, column: string): number {
  if (typeof value === "number" && Number.isSafeInteger(value)) return value;
  throw new CorruptStoreError(`column ${column} holds no whole number`);
}

/** Throws `RangeError` for what `readRow` would refuse: what is written must be read again. */
export function checkLengths(topologyId: string, versionHash: string, document: string): void {
  const bytesOf = (value: string) => new TextEncoder().encode(value).length;
  if (bytesOf(topologyId) > maximumIdBytes || bytesOf(versionHash) > maximumIdBytes) {
    throw new RangeError(
      `Cannot store the topology: an id or hash of over ${maximumIdBytes} bytes`,
    );
  }
  // The sorted document is ASCII.
  if (document.length > maximumDocumentBytes) {
    throw new RangeError("Cannot store the topology: a document of over 32 MiB");
  }
}

/** The first characters; they are code points, as in the first agent: a pair of surrogates is one. */
export function firstCharacters(text: string, count: number): string {
  return [...text.slice(0, 2 * count)].slice(0, count).join("").toWellFormed();
}

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

const columns = "topology_id, applied_version_hash, hydrated_blob_json, applied_at, last_error";
/** What is larger, the runtime does not hand over as a number. */
const largestTime = Number.MAX_SAFE_INTEGER;

/** Answers a row when there is our table; for SQLite its name is the same in any case. */
export const selectTable = `
  SELECT 1 FROM sqlite_schema
  WHERE type = 'table' AND name = 'applied_topology' COLLATE NOCASE`;

/**
 * The newest row and, as a sign that there are more, another. The runtime ends the process when it is
 * handed a text of more than 512 MiB, so what is too long is left out.
 */
export const selectNewest = `
  SELECT iif(octet_length(topology_id) <= ${maximumIdBytes}, topology_id, NULL),
    iif(octet_length(applied_version_hash) <= ${maximumIdBytes}, applied_version_hash, NULL),
    iif(octet_length(hydrated_blob_json) <= ${maximumDocumentBytes}, hydrated_blob_json, NULL),
    iif(typeof(applied_at) = 'integer' AND applied_at BETWEEN ${-largestTime} AND ${largestTime},
      applied_at, NULL),
    iif(typeof(last_error) = 'text', substr(last_error, 1, ${maximumErrorLength}), last_error)
  FROM applied_topology ORDER BY applied_at DESC, topology_id LIMIT 2`;

/** The id of the newest row, as `id`. */
export const selectNewestId = `
  SELECT iif(typeof(topology_id) = 'text' AND octet_length(topology_id) <= ${maximumIdBytes},
    topology_id, '(unreadable)') AS id
  FROM applied_topology ORDER BY applied_at DESC, topology_id LIMIT 1`;

/** Takes id, hash, document and time. */
export const upsert = `
  INSERT INTO applied_topology (${columns}) VALUES (?, ?, ?, ?, NULL)
  ON CONFLICT (topology_id) DO UPDATE SET applied_version_hash = excluded.applied_version_hash,
    hydrated_blob_json = excluded.hydrated_blob_json, applied_at = excluded.applied_at,
    last_error = NULL`;

/** Takes id, document and error. */
export const insertMarker = `INSERT INTO applied_topology (${columns}) VALUES (?, '', ?, 0, ?)`;

/** Takes error, document and id. */
export const updateError = `
  UPDATE applied_topology SET last_error = ?,
    hydrated_blob_json = iif(hydrated_blob_json = '{}', ?, hydrated_blob_json)
  WHERE topology_id = ?`;

/** Takes all columns. */
export const insertRow = `INSERT INTO applied_topology (${columns}) VALUES (?, ?, ?, ?, ?)`;

/** Takes an id. */
export const deleteRow = "DELETE FROM applied_topology WHERE topology_id = ?";

export const deleteRows = "DELETE FROM applied_topology";
