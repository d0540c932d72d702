import { DatabaseSync } from "node:sqlite";

/** How long a statement waits for a lock held by another process, in milliseconds. */
const busyTimeoutMs = 5_000;

/** Opens the file at `path` so that nothing in it can be changed; null when there is none. */
export function openForReading(path: string): DatabaseSync | null {
  if (!exists(path)) return null;
  // What a crash left half-written is undone with the journal, and only a writer may do that.
  const readOnly = !exists(`${path}-journal`);
  const database = new DatabaseSync(path, { readOnly, timeout: busyTimeoutMs });
  database.exec("PRAGMA query_only = ON");
  return database;
}

/** Opens the file at `path`; it and its folder are created for the owner alone. */
export function openForWriting(path: string): DatabaseSync {
  createPrivately(path);
  const database = new DatabaseSync(path, { timeout: busyTimeoutMs });
  database.exec("PRAGMA synchronous = FULL");
  return database;
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function createPrivately(path: string): void {
  Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")) || "/", {
    recursive: true,
    mode: 0o700,
  });
  try {
    // SQLite would create the file readable by others, and give its journal the same mode.
    Deno.openSync(path, { write: true, createNew: true, mode: 0o600 }).close();
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    if ((Deno.statSync(path).mode ?? 0) & 0o077) Deno.chmodSync(path, 0o600);
  }
}
