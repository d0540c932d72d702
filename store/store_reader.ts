import type { DatabaseSync } from "node:sqlite";
import { statFile } from "../host/files.ts";
import {
  explain,
  fileVersion,
  findFolderProblem,
  findWriteError,
  listQuarantined,
  retryWhileLocked,
  type StoreReason,
  storeReason,
  writeProblem,
} from "./file.ts";
import type { FallbackStore } from "./recovery.ts";
import { type AppliedTopology, RowReader } from "./row.ts";

/** What the store holds, or why it cannot be read; `detail` is for operators. */
export type StoreStatus =
  | { readonly kind: "ok"; readonly applied: AppliedTopology; readonly detail?: string }
  | { readonly kind: "idle"; readonly detail?: string }
  | { readonly kind: "unreadable"; readonly detail: string; readonly reason: StoreReason };

/**
 * Reads a store while other processes may write, replace or remove its file. The file stays open
 * between two readings, because each opening occupies memory until the next garbage collection.
 */
export class StoreReader {
  readonly #path: string;
  /** Null in a process that does not write the store. */
  readonly #fallback: FallbackStore | null;
  #rows: RowReader | null = null;
  /** The version of the file that `#rows` reads. */
  #version = "";

  constructor(path: string, fallback: FallbackStore | null = null) {
    this.#path = path;
    this.#fallback = fallback;
  }

  /**
   * Returns what counts: the file's content, or what the fallback keeps. With a fallback and `repairs`,
   * quarantines a damaged file and writes what is kept in memory. Never throws.
   */
  async readStatus(signal: AbortSignal, { repairs = true } = {}): Promise<StoreStatus> {
    const path = this.#path;
    const fallback = this.#fallback;
    try {
      if (repairs && fallback && fallback.problem !== null) await fallback.tryRecover();
      const stored = await this.#readOrQuarantine(signal, repairs);
      const applied = fallback ? fallback.resolve(stored) : stored;
      const writeError = findWriteError(path);
      const details = [
        fallback?.problem ?? (writeError ? writeProblem(writeError) : findFolderProblem(path)),
        quarantineText(listQuarantined(path)),
        applied?.hasOlderRows && "the store holds more than one row; the newest counts",
      ].filter((it) => it);
      const detail = details.length > 0 ? { detail: details.join("; ") } : {};
      return applied ? { kind: "ok", applied, ...detail } : { kind: "idle", ...detail };
    } catch (error) {
      const detail = `Cannot read the store ${path}: ${explain(error)}`;
      return { kind: "unreadable", detail, reason: storeReason(error) };
    }
  }

  /** Returns true when a reading with `repairs` has something to repair. */
  canRepair(status: StoreStatus): boolean {
    if (!this.#fallback) return false;
    return this.#fallback.problem !== null ||
      (status.kind === "unreadable" && status.reason === "damaged");
  }

  /** Returns the row of the file that is at the path now. Throws what SQLite says, or `CorruptStoreError`. */
  async current(signal: AbortSignal): Promise<AppliedTopology | null> {
    // Loaded late: it takes 2 ms, in which the engine works on its answer.
    const { DatabaseSync } = await import("node:sqlite");
    return await retryWhileLocked(() => this.#read(DatabaseSync), signal);
  }

  /** Closes the file; the next reading opens it again. */
  close(): void {
    this.#rows?.close();
    this.#rows = null;
  }

  async #readOrQuarantine(signal: AbortSignal, repairs: boolean): Promise<AppliedTopology | null> {
    try {
      return await this.current(signal);
    } catch (error) {
      const fallback = this.#fallback;
      if (!fallback || storeReason(error) !== "damaged") throw error;
      if (repairs) {
        await fallback.tryRecover();
        return await this.#readOrQuarantine(signal, false);
      }
      // A damaged file that cannot be quarantined counts as empty.
      if (fallback.problem !== null) return null;
      throw error;
    }
  }

  #read(Database: typeof DatabaseSync): AppliedTopology | null {
    const version = fileVersion(this.#path);
    if (version !== this.#version) this.close();
    this.#version = version;
    try {
      return this.#readOpen(Database);
    } catch (error) {
      if (storeReason(error) === "locked") throw error;
    }
    // Opened again, SQLite undoes what a crash left, or finds what another process has undone.
    this.close();
    return this.#readOpen(Database);
  }

  #readOpen(Database: typeof DatabaseSync): AppliedTopology | null {
    this.#rows ??= RowReader.open(this.#path, Database);
    const applied = this.#rows?.current() ?? null;
    // Writers take the file out of WAL mode, which fails while another process has it open.
    if (statFile(`${this.#path}-wal`)) this.close();
    return applied;
  }
}

function quarantineText([newest, ...older]: string[]): string | null {
  if (newest === undefined) return null;
  const others = older.length === 0 ? "" : ` (and ${older.length} earlier)`;
  const them = older.length === 0 ? "it" : "them";
  return `the store was damaged and was moved to ${newest}${others}; look at ${them}, then remove ${them}`;
}
