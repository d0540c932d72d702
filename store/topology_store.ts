import { DatabaseSync, type SQLOutputValue, type StatementSync } from "node:sqlite";
import { parseJson, writeJson } from "../topology/json.ts";
import { look, openForReading, openForWriting } from "./file.ts";
import {
  type AppliedTopology,
  checkLengths,
  CorruptStoreError,
  createSchema,
  deleteRow,
  deleteRows,
  firstCharacters,
  insertMarker,
  insertRow,
  maximumErrorLength,
  readRow,
  selectNewest,
  selectNewestId,
  selectTable,
  updateError,
  upsert,
} from "./row.ts";

/** A document of which nothing is known. */
export const unknownDocument = "{}";

/** A method that the types of node:sqlite do not know yet. */
type ArrayStatement = StatementSync & { setReturnArrays(enabled: boolean): void };

/** The agent has one topology and is asked to keep another. */
export class AlreadyApplied extends Error {
  override readonly name = "AlreadyApplied";

  constructor(readonly appliedId: string, refusedId: string) {
    super(
      `agent already has topology '${appliedId}'; cannot apply '${refusedId}'`,
    );
  }
}

/** How to open a store. */
export interface StoreOptions {
  /** Never writes, and treats an absent file as an empty store. */
  readonly readOnly?: boolean;
  /** How long to wait for another process that holds the file locked, in milliseconds. */
  readonly busyTimeoutMs?: number;
  /** The time, in milliseconds since 1970. */
  readonly now?: () => number;
}

/**
 * The cache of the topology applied last: one row in an SQLite file. What runs, Docker knows; what
 * should run, the master.
 *
 * Every method throws what SQLite says when the file cannot be read or written.
 */
export class TopologyStore implements Disposable {
  /** Null in memory. */
  readonly #path: string | null;
  readonly #database: DatabaseSync | null;
  readonly #now: () => number;
  /** Kept: a statement that is prepared anew each time stays in memory for long. */
  #newestStatement: StatementSync | null = null;

  private constructor(path: string | null, database: DatabaseSync | null, now: () => number) {
    this.#path = path;
    this.#database = database;
    this.#now = now;
  }

  /**
   * Opens the file at `path`. When it may write, it creates file and folder for the owner alone, as
   * a document can carry passwords; an existing file is not written until something changes.
   */
  static open(path: string, options: StoreOptions = {}): TopologyStore {
    const { readOnly = false, busyTimeoutMs = 5_000, now = Date.now } = options;
    const open = readOnly ? openForReading : openForWriting;
    return new TopologyStore(path, open(path, busyTimeoutMs), now);
  }

  /** A store that is gone with the process, and begins with `row`. */
  static inMemory(row: AppliedTopology | null, now: () => number = Date.now): TopologyStore {
    const store = new TopologyStore(null, new DatabaseSync(":memory:"), now);
    store.replace(row);
    return store;
  }

  /** The topology applied last, or null when the host is idle. */
  current(): AppliedTopology | null {
    if (!this.#newestStatement) {
      if (!this.#database || !this.#hasTable()) return null;
      if (this.#path !== null) checkSize(this.#path, this.#database);
      this.#newestStatement = this.#database.prepare(selectNewest);
      // An object for each row would bring a hidden class of its own, which stays for long too.
      (this.#newestStatement as ArrayStatement).setReturnArrays(true);
    }
    const [newest, older] = this.#newestStatement.all() as unknown as SQLOutputValue[][];
    return newest ? readRow(newest, older !== undefined) : null;
  }

  /** Reads all of the file. Throws what SQLite says, or `DamagedStore`, for what is damaged in it. */
  check(): void {
    const result = this.#database?.prepare("PRAGMA integrity_check(1)").get()?.integrity_check;
    if (result !== undefined && result !== "ok") {
      throw new CorruptStoreError(String(result).slice(0, maximumErrorLength));
    }
    // An encoding that there is not passes at first, and not when the schema is read again.
    this.#database?.exec("PRAGMA writable_schema = RESET");
    this.current();
  }

  /** Makes sure that the file can be written, before something is done that is to be kept in it. */
  prepare(): void {
    // SQLite compares this with the columns and keys that there are.
    this.#transact((database) => database.prepare(upsert));
  }

  /**
   * Keeps `document`, a JSON text, as applied now under `versionHash`.
   * Throws `AlreadyApplied` when another topology is there, and then changes nothing.
   */
  put(topologyId: string, versionHash: string, document: string): void {
    const sorted = sortKeys(document);
    checkLengths(topologyId, versionHash, sorted);
    this.#change(topologyId, (database) => {
      const appliedAt = Math.floor(this.#now() / 1000);
      database.prepare(upsert).run(topologyId, versionHash, sorted, appliedAt);
    });
  }

  /**
   * Keeps the first 500 characters of what went wrong with a topology; hash and time stay. The
   * document is kept only where none is known yet, so that a teardown can find what a partial apply
   * left behind. Throws `AlreadyApplied` when another topology is there, and then changes nothing.
   */
  recordError(
    topologyId: string,
    message: string,
    document: string = unknownDocument,
  ): void {
    const error = firstCharacters(message, maximumErrorLength);
    const sorted = sortKeys(document);
    checkLengths(topologyId, "", sorted);
    this.#change(topologyId, (database) => {
      const { changes } = database.prepare(updateError).run(
        error,
        sorted,
        topologyId,
      );
      if (changes === 0) {
        database.prepare(insertMarker).run(topologyId, sorted, error);
      }
    });
  }

  /** Forgets a topology; forgetting one that is not there changes nothing. */
  clear(topologyId: string): void {
    if (this.#hasTable()) this.#writable().prepare(deleteRow).run(topologyId);
  }

  /** Puts `row`, or nothing, in the place of whatever there is. */
  replace(row: AppliedTopology | null): void {
    this.#transact((database) => {
      database.exec(deleteRows);
      if (!row) return;
      const { topologyId, versionHash, document, appliedAt, lastError } = row;
      database.prepare(insertRow).run(topologyId, versionHash, document, appliedAt, lastError);
    });
  }

  /** Closes the file. */
  close(): void {
    this.#database?.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #change(topologyId: string, change: (database: DatabaseSync) => void): void {
    this.#transact((database) => {
      const other = database.prepare(selectNewestId).get()?.id;
      if (other !== undefined && other !== topologyId) {
        throw new AlreadyApplied(String(other), topologyId);
      }
      change(database);
    });
  }

  #transact(work: (database: DatabaseSync) => void): void {
    const database = this.#writable();
    // A file in WAL mode could not be read from a read-only folder.
    database.exec("PRAGMA journal_mode = DELETE");
    // Taking the write lock before reading keeps another process from changing the row in between.
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

  #hasTable(): boolean {
    return this.#database?.prepare(selectTable).get() !== undefined;
  }

  #writable(): DatabaseSync {
    if (this.#database) return this.#database;
    throw new Error(
      "Cannot write the store: it was opened for reading, and there is no file",
    );
  }
}

/** SQLite takes what is missing of the last page for zeros. */
function checkSize(path: string, database: DatabaseSync): void {
  const pageSize = Number(database.prepare("PRAGMA page_size").get()?.page_size);
  const { size = 0 } = look(path) ?? {};
  if (size % pageSize !== 0) throw new CorruptStoreError("the file was cut short");
}

function sortKeys(document: string): string {
  return writeJson(parseJson(document));
}
