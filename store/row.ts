import type { DatabaseSync, SQLOutputValue, StatementSync } from "node:sqlite";
import { statFile } from "../host/files.ts";
import { CorruptStoreError, openForReading } from "./file.ts";

/** Maximum length of an id or a hash, in bytes. */
export const maximumIdBytes = 1000;
/** Maximum length of a document with sorted keys, in bytes. */
export const maximumDocumentBytes = 32 * 2 ** 20;
/** How much of an error is kept, in characters. */
export const maximumErrorLength = 500;
/** Stored when the document is not known. */
export const unknownDocument = "{}";

/** The topology that was applied last: the one row of the store. */
export interface AppliedTopology {
  readonly topologyId: string;
  /** Empty when nothing was applied yet and only an error is recorded: a marker row. */
  readonly versionHash: string;
  /** JSON text, keys sorted; `{}` when unknown. */
  readonly document: string;
  /** Unix time in seconds; 0 when nothing was applied yet. */
  readonly appliedAt: number;
  /** Null when the last apply succeeded. */
  readonly lastError: string | null;
  /** The file holds further rows, which are ignored: the first agent can write them. */
  readonly hasOlderRows: boolean;
}

/** SQLite compares a table's name in any case. */
const selectTable =
  "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'applied_topology' COLLATE NOCASE";

/**
 * The newest row, and a second one as a sign that there are more. Long texts are left out, because a
 * text of more than 512 MiB ends the process; so are integers that the runtime does not return.
 */
const selectNewest = `
  SELECT iif(octet_length(topology_id) <= ${maximumIdBytes}, topology_id, NULL),
    iif(octet_length(applied_version_hash) <= ${maximumIdBytes}, applied_version_hash, NULL),
    iif(octet_length(hydrated_blob_json) <= ${maximumDocumentBytes}, hydrated_blob_json, NULL),
    iif(typeof(applied_at) = 'integer'
      AND applied_at BETWEEN ${Number.MIN_SAFE_INTEGER} AND ${Number.MAX_SAFE_INTEGER}, applied_at, NULL),
    iif(typeof(last_error) = 'text', substr(last_error, 1, ${maximumErrorLength}), last_error)
  FROM applied_topology ORDER BY applied_at DESC, topology_id LIMIT 2`;

/** A method that the types of node:sqlite lack. */
type ArrayStatement = StatementSync & { setReturnArrays(enabled: boolean): void };

/** Reads the row of an open store. Its methods throw what SQLite says, or `CorruptStoreError`. */
export class RowReader {
  readonly #database: DatabaseSync;
  /** Null for a store in memory. */
  readonly #path: string | null;
  /** Prepared once: each prepared statement occupies memory for a long time. */
  #newest: StatementSync | null = null;

  constructor(database: DatabaseSync, path: string | null) {
    this.#database = database;
    this.#path = path;
  }

  /** Opens the file at `path` for reading; null when it is absent. */
  static open(path: string, Database: typeof DatabaseSync): RowReader | null {
    const database = openForReading(path, Database);
    return database && new RowReader(database, path);
  }

  /** Closes the database. */
  close(): void {
    this.#database.close();
  }

  /** Returns the newest row; null when there is none, or no table. */
  current(): AppliedTopology | null {
    if (!this.#newest) {
      if (!this.hasTable()) return null;
      this.#checkSize();
      this.#newest = this.#database.prepare(selectNewest);
      // Rows as objects would each add a hidden class to V8, which also stays in memory.
      (this.#newest as ArrayStatement).setReturnArrays(true);
    }
    const [newest, older] = this.#newest.all() as unknown as SQLOutputValue[][];
    return newest ? rowFrom(newest, older !== undefined) : null;
  }

  /** Returns true when there is a table, also an empty one. */
  hasTable(): boolean {
    return this.#database.prepare(selectTable).get() !== undefined;
  }

  /** Reads the whole file, and throws for any damage in it. */
  check(): void {
    const result = this.#database.prepare("PRAGMA integrity_check(1)").get()?.integrity_check;
    if (result !== "ok") throw new CorruptStoreError(String(result).slice(0, maximumErrorLength));
    // Only a second reading of the schema finds an unknown text encoding.
    this.#database.exec("PRAGMA writable_schema = RESET");
    this.current();
  }

  /** Throws when the last page is incomplete: SQLite would read the missing bytes as zeros. */
  #checkSize(): void {
    if (this.#path === null) return;
    const pageSize = Number(this.#database.prepare("PRAGMA page_size").get()?.page_size);
    const { size = 0 } = statFile(this.#path) ?? {};
    if (size % pageSize !== 0) throw new CorruptStoreError("the file was cut short");
  }
}

/** Checks the types: in SQLite any column can hold any type. */
function rowFrom(
  [topologyId, versionHash, document, appliedAt, lastError]: SQLOutputValue[],
  hasOlderRows: boolean,
): AppliedTopology {
  if (typeof appliedAt !== "number") {
    throw new CorruptStoreError("column applied_at holds no whole number");
  }
  const row = {
    topologyId: textFrom(topologyId, "topology_id"),
    versionHash: textFrom(versionHash, "applied_version_hash"),
    document: textFrom(document, "hydrated_blob_json"),
    appliedAt,
    lastError: lastError === null ? null : textFrom(lastError, "last_error"),
    hasOlderRows,
  };
  // SQLite reads zeros behind the end of a file that was cut short.
  if (!row.document.includes("\0")) return row;
  throw new CorruptStoreError("column hydrated_blob_json holds a zero byte");
}

function textFrom(value: SQLOutputValue | undefined, column: string): string {
  if (typeof value === "string") return value;
  throw new CorruptStoreError(`column ${column} holds no text, or too much of it`);
}
