import { DatabaseSync } from "node:sqlite";
import { createFolderOf, identityOf } from "../host/files.ts";
import { createPrivateFile, makePrivate } from "../host/new_file.ts";
import { parseJson, writeJson } from "../topology/json.ts";
import { checkFiles, CorruptStoreError } from "./file.ts";
import {
  type AppliedTopology,
  maximumDocumentBytes,
  maximumErrorLength,
  maximumIdBytes,
  RowReader,
  unknownDocument,
} from "./row.ts";

/** Table and columns are the first agent's: each agent can open the other's file. */
const createTable = `
  CREATE TABLE IF NOT EXISTS applied_topology (
    topology_id TEXT PRIMARY KEY,
    applied_version_hash TEXT NOT NULL,
    hydrated_blob_json TEXT NOT NULL,
    applied_at INTEGER NOT NULL,
    last_error TEXT
  )`;

/** Every row has the same value in this index, so there can be only one row. */
const createOneRowIndex = `
  CREATE UNIQUE INDEX IF NOT EXISTS applied_topology_one_row ON applied_topology ((1))`;

const selectNewestId = `
  SELECT iif(typeof(topology_id) = 'text' AND octet_length(topology_id) <= ${maximumIdBytes},
    topology_id, '(unreadable)') AS id
  FROM applied_topology ORDER BY applied_at DESC, topology_id LIMIT 1`;

/** Takes id, hash, document, time and error. */
const insertRow = `
  INSERT INTO applied_topology
    (topology_id, applied_version_hash, hydrated_blob_json, applied_at, last_error)
    VALUES (?, ?, ?, ?, ?)`;

const upsert = `${insertRow}
  ON CONFLICT (topology_id) DO UPDATE SET applied_version_hash = excluded.applied_version_hash,
    hydrated_blob_json = excluded.hydrated_blob_json, applied_at = excluded.applied_at,
    last_error = NULL`;

/** Takes error, document and id. */
const updateError = `
  UPDATE applied_topology SET last_error = ?,
    hydrated_blob_json = iif(hydrated_blob_json = '${unknownDocument}', ?, hydrated_blob_json)
  WHERE topology_id = ?`;

/** Another topology is stored: the agent keeps one at a time. */
export class AlreadyApplied extends Error {
  override readonly name = "AlreadyApplied";

  constructor(readonly appliedId: string, refusedId: string) {
    super(`agent already has topology '${appliedId}'; cannot apply '${refusedId}'`);
  }
}

/**
 * Stores the topology that was applied last: one row in an SQLite file. It is a cache: Docker knows what
 * runs, the master what should run. Its methods throw what SQLite says, or `CorruptStoreError`.
 */
export class TopologyStore implements Disposable {
  readonly #database: DatabaseSync;
  readonly #rows: RowReader;
  readonly #now: () => number;

  private constructor(database: DatabaseSync, path: string | null, now: () => number) {
    this.#database = database;
    this.#rows = new RowReader(database, path);
    this.#now = now;
  }

  /**
   * Opens the file at `path`; creates it, and its folder, when it is absent. Statements block for up to
   * `busyTimeoutMs` for a lock of another process; `now` returns milliseconds since 1970.
   */
  static open(path: string, { busyTimeoutMs = 5_000, now = Date.now } = {}): TopologyStore {
    return new TopologyStore(openForWriting(path, busyTimeoutMs), path, now);
  }

  /** Returns a store in memory that holds `row`. */
  static inMemory(row: AppliedTopology | null): TopologyStore {
    const store = new TopologyStore(new DatabaseSync(":memory:"), null, Date.now);
    store.replace(row);
    return store;
  }

  /** Returns the topology that was applied last; null when the host is idle. */
  current(): AppliedTopology | null {
    return this.#rows.current();
  }

  /** Checks that the file can be written, before Docker is changed. */
  prepare(): void {
    // Preparing the statement fails when the table lacks a column or the key.
    this.#transact((database) => database.prepare(upsert));
  }

  /**
   * Stores `document`, a JSON text, as applied now under `versionHash`. Throws `AlreadyApplied` when
   * another topology is stored, `SyntaxError` or `RangeError` for a value that cannot be stored.
   */
  put(topologyId: string, versionHash: string, document: string): void {
    const sorted = sortedDocument(topologyId, versionHash, document);
    this.#change(topologyId, (database) => {
      const appliedAt = Math.floor(this.#now() / 1000);
      database.prepare(upsert).run(topologyId, versionHash, sorted, appliedAt, null);
    });
  }

  /**
   * Stores the first 500 characters of an error; hash and time stay. The document is stored only when
   * none is known yet, so that a teardown finds what a partial apply left. Throws as `put()` does.
   */
  recordError(topologyId: string, message: string, document: string = unknownDocument): void {
    // A pair of surrogates is one character, as in the first agent.
    const characters = [...message.slice(0, 2 * maximumErrorLength)].slice(0, maximumErrorLength);
    const error = characters.join("").toWellFormed();
    const sorted = sortedDocument(topologyId, "", document);
    this.#change(topologyId, (database) => {
      const { changes } = database.prepare(updateError).run(error, sorted, topologyId);
      if (changes === 0) database.prepare(insertRow).run(topologyId, "", sorted, 0, error);
    });
  }

  /** Removes a topology; returns false when it is not stored. */
  clear(topologyId: string): boolean {
    if (!this.#rows.hasTable()) return false;
    const sql = "DELETE FROM applied_topology WHERE topology_id = ?";
    return this.#database.prepare(sql).run(topologyId).changes !== 0;
  }

  /** Replaces all rows by `row`, or by none. */
  replace(row: AppliedTopology | null): void {
    this.#transact((database) => {
      database.exec("DELETE FROM applied_topology");
      if (!row) return;
      const { topologyId, versionHash, document, appliedAt, lastError } = row;
      database.prepare(insertRow).run(topologyId, versionHash, document, appliedAt, lastError);
      checkStored(database, topologyId);
    });
  }

  /** Closes the file. */
  close(): void {
    this.#rows.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #change(topologyId: string, change: (database: DatabaseSync) => void): void {
    this.#transact((database) => {
      const other = newestId(database);
      if (other !== null && other !== topologyId) throw new AlreadyApplied(other, topologyId);
      change(database);
      checkStored(database, topologyId);
    });
  }

  #transact(work: (database: DatabaseSync) => void): void {
    const database = this.#database;
    // A file in WAL mode cannot be read in a read-only folder.
    database.exec("PRAGMA journal_mode = DELETE");
    // The write lock comes first: no other process can change the row after it was read.
    database.exec("BEGIN IMMEDIATE");
    try {
      createSchema(database);
      work(database);
      database.exec("COMMIT");
    } catch (error) {
      if (database.isTransaction) database.exec("ROLLBACK");
      throw error;
    }
  }
}

function newestId(database: DatabaseSync): string | null {
  const row = database.prepare(selectNewestId).get();
  return row ? String(row.id) : null;
}

/** Throws when the newest row is not of this topology: a file may have triggers that change rows. */
function checkStored(database: DatabaseSync, topologyId: string): void {
  if (newestId(database) !== topologyId) {
    throw new CorruptStoreError("the file does not keep what is written to it");
  }
}

/** Returns the row of the file at `path`; null when file, table or row is absent. */
export function readRow(path: string): AppliedTopology | null {
  return withRows(path, (rows) => rows.current());
}

/** Returns what `work` returns for the file at `path`; null when it is absent. */
export function withRows<T>(path: string, work: (rows: RowReader) => T): T | null {
  const rows = RowReader.open(path, DatabaseSync);
  try {
    return rows && work(rows);
  } finally {
    rows?.close();
  }
}

/** Opens the file, or creates it; statements block for up to `busyTimeoutMs` for a lock. */
export function openForWriting(path: string, busyTimeoutMs: number): DatabaseSync {
  createFolderOf(path);
  checkFiles(path);
  // SQLite would create the file, and then its journal, readable by others.
  if (!createPrivateFile(path) && (Deno.lstatSync(path).mode ?? 0) & 0o077) makePrivate(path);
  const database = new DatabaseSync(path, { timeout: busyTimeoutMs });
  try {
    const { dev, ino } = Deno.lstatSync(path);
    // SQLite follows a link that has taken the file's place meanwhile.
    if (identityOf(database.location()!) !== `${dev} ${ino}`) throw new Error("it was replaced");
    database.exec("PRAGMA synchronous = FULL");
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Creates table and index where they are missing. Two rows of the first agent prevent the index. */
function createSchema(database: DatabaseSync): void {
  database.exec(createTable);
  const { rows } = database.prepare("SELECT count(*) AS rows FROM applied_topology").get()!;
  if (Number(rows) <= 1) database.exec(createOneRowIndex);
}

/** Sorts the document's keys. Throws `RangeError` for a value that `current()` would not read. */
function sortedDocument(topologyId: string, versionHash: string, document: string): string {
  for (const text of [topologyId, versionHash]) {
    if (new TextEncoder().encode(text).length <= maximumIdBytes) continue;
    throw new RangeError(
      `Cannot store the topology: an id or hash of over ${maximumIdBytes} bytes`,
    );
  }
  const sorted = writeJson(parseJson(document));
  // It is ASCII.
  if (sorted.length <= maximumDocumentBytes) return sorted;
  throw new RangeError("Cannot store the topology: a document of over 32 MiB");
}
