import type { Log } from "../host/log.ts";
import { explain, storeReason } from "../store/file.ts";
import { removeDatabase } from "../store/recovery.ts";
import { openForWriting } from "../store/topology_store.ts";
import type { LogPosition } from "./container_log.ts";
import type { LogStatus } from "./status.ts";

const schema = `
  CREATE TABLE IF NOT EXISTS position (
    container TEXT PRIMARY KEY, timestamp TEXT NOT NULL, lines INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS status (id INTEGER PRIMARY KEY CHECK (id = 1), json TEXT NOT NULL)`;
/** Removes the positions that are the oldest: those of containers that are gone. */
const maximumPositions = 20_000;
const prune = `
  DELETE FROM position WHERE rowid NOT IN (
    SELECT rowid FROM position ORDER BY rowid DESC LIMIT ${maximumPositions})`;
const savesPerPrune = 1_000;
/** How long a statement may block the process while a check reads, in milliseconds. */
const busyTimeoutMs = 250;

/**
 * Stores how far the log of each container was sent, in an SQLite file. It is a cache: what cannot be
 * stored is sent twice after a restart. Never throws.
 */
export class PositionStore {
  readonly #path: string;
  readonly #log: Log;
  #file: OpenFile | null = null;
  #saves = 0;
  #problem: string | null = null;

  constructor(path: string, log: Log) {
    this.#path = path;
    this.#log = log;
  }

  /** Returns the position of a container; null when none is known. */
  read(container: string): LogPosition | null {
    const row = this.#use(({ select }) => select.get(container));
    return row ? { timestamp: String(row.timestamp), lines: Number(row.lines) } : null;
  }

  /** Stores positions and status; returns false when that fails. */
  save(positions: ReadonlyMap<string, LogPosition>, status: LogStatus): boolean {
    return this.#use(({ database, upsert, upsertStatus }) => {
      database.exec("BEGIN IMMEDIATE");
      try {
        for (const [id, { timestamp, lines }] of positions) upsert.run(id, timestamp, lines);
        upsertStatus.run(JSON.stringify(status));
        if (this.#saves++ % savesPerPrune === 0) database.exec(prune);
        database.exec("COMMIT");
      } finally {
        if (database.isTransaction) database.exec("ROLLBACK");
      }
      return true;
    }) ?? false;
  }

  /** Closes the file. */
  close(): void {
    this.#file?.database.close();
    this.#file = null;
  }

  /** Returns null when the work fails; a problem is logged once. */
  #use<Result>(work: (file: OpenFile) => Result): Result | null {
    try {
      const result = work(this.#file ??= open(this.#path));
      const text = `the positions in ${this.#path} are kept again`;
      if (this.#problem !== null) this.#log("info", text, { subject: "logs" });
      this.#problem = null;
      return result;
    } catch (error) {
      this.close();
      // The next use makes a new one.
      if (storeReason(error) === "damaged") removeDatabase(this.#path);
      const problem = explain(error);
      const text =
        `Cannot keep positions in ${this.#path}: ${problem}; after a restart, lines are sent twice`;
      if (problem !== this.#problem) this.#log("warn", text, { subject: "logs" });
      this.#problem = problem;
      return null;
    }
  }
}

type OpenFile = ReturnType<typeof open>;

/** Opens the file; its statements are prepared once, as each takes memory for a long time. */
function open(path: string) {
  const database = openForWriting(path, busyTimeoutMs);
  try {
    // Does not wait for the disk, which may take long while heartbeats are due: after a power failure
    // some lines are sent twice.
    database.exec(`PRAGMA synchronous = OFF; ${schema}`);
    return {
      database,
      select: database.prepare("SELECT timestamp, lines FROM position WHERE container = ?"),
      upsert: database.prepare("INSERT OR REPLACE INTO position VALUES (?, ?, ?)"),
      upsertStatus: database.prepare("INSERT OR REPLACE INTO status VALUES (1, ?)"),
    };
  } catch (error) {
    database.close();
    throw error;
  }
}
