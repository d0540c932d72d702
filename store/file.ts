import { DatabaseSync } from "node:sqlite";
import { CorruptStoreError } from "./row.ts";

const noFile = "it is not a regular file";
/** SQLite's SQLITE_READONLY_ROLLBACK. */
const readOnlyRollback = 776;

/**
 * Opens the file at `path` so that nothing in it can be changed; null when there is none. A statement
 * waits up to `busyTimeoutMs` for a lock held by another process, and blocks this one meanwhile.
 */
export function openForReading(path: string, busyTimeoutMs: number): DatabaseSync | null {
  const file = look(path);
  if (!file) return null;
  // A pipe would keep SQLite, and so the process, waiting for ever.
  if (!file.isFile) throw new Error(noFile);
  // What a crash left half-written is undone with the journal, and only a writer may do that.
  const readOnly = !look(`${path}-journal`);
  const database = new DatabaseSync(path, { readOnly });
  // Not by the option `timeout`, which the runtime passes over when it opens for reading.
  database.exec(`PRAGMA busy_timeout = ${busyTimeoutMs}; PRAGMA query_only = ON`);
  return database;
}

/** Opens the file at `path`; it and its folder are created for the owner alone. */
export function openForWriting(path: string, busyTimeoutMs: number): DatabaseSync {
  createPrivately(path);
  const database = new DatabaseSync(path, { timeout: busyTimeoutMs });
  database.exec("PRAGMA synchronous = FULL");
  return database;
}

/** Where the lock lies that a store's writers hold. */
export function lockPathOf(storePath: string): string {
  return storePath.replace(/[^/]*$/, "apply.lock");
}

/**
 * Why the file at `path` cannot be opened for writing, or null, also when there is none. Not for the
 * middle of a change: it gives back every lock that SQLite has on the file in this process.
 */
export function findWriteProblem(path: string): string | null {
  try {
    Deno.openSync(path, { write: true }).close();
    return null;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    return `the store cannot be written: ${explain(error)}`;
  }
}

/**
 * Why nobody but root can change the file at `path`, though it may be writable itself: SQLite makes its
 * journal beside it. Null also where that is not sure, as a mode does not tell all of who may write;
 * who has CAP_DAC_OVERRIDE without being root is told of it all the same.
 */
export function findFolderProblem(path: string, uid: number | null = Deno.uid()): string | null {
  const folder = look(path.replace(/[^/]*$/, "") || ".");
  if (!folder?.isDirectory || uid === 0) return null;
  // Where there is an access control list, its mask stands in the place of the group's bits.
  const writers = folder.uid === uid ? 0o200 : 0o022;
  if (((folder.mode ?? writers) & writers) !== 0) return null;
  const owner = folder.uid === uid ? "" : `, which is of user ${folder.uid}`;
  return `the store cannot be written: user ${uid} may not write to its folder${owner}; ` +
    "make the file and its folder writable for the agent's user";
}

/**
 * Whether what was thrown as `path` was opened means that nobody can write there: no space, a file
 * system that is read-only, a folder without the permission. A file that is there, and that this user
 * may not open, is another matter: its owner writes.
 */
export function isWritingImpossible(error: unknown, path: string): boolean {
  if (!(error instanceof Error)) return false;
  if (/Read-only file system|No space left/.test(error.message)) return true;
  return /Permission denied/.test(error.message) && !isThere(path);
}

/** Whether another process holds a lock: node:sqlite tells by its message only. */
export function isLocked(error: unknown): boolean {
  return error instanceof Error && error.message.includes("database is locked");
}

/**
 * Whether a change was found half-written by whoever may only read. Either its writer has crashed, and
 * whoever opens the file anew undoes it; or a writer has taken it back at this very moment.
 */
export function isHalfWritten(error: unknown): boolean {
  return (error as { errcode?: unknown } | null)?.errcode === readOnlyRollback;
}

/** What is at `path`, be it a link, which may lead to somebody else's file; null for nothing. */
export function look(path: string): Deno.FileInfo | null {
  try {
    return Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/**
 * Differs when a file has been written to, or another has taken its place. A copy over it may bear the
 * same counter of changes, by which SQLite would take the old content for the new one.
 */
export function versionOf(path: string): string {
  try {
    const { dev, ino, size, mtime, ctime } = Deno.lstatSync(path);
    return `${dev} ${ino} ${size} ${mtime?.getTime()} ${ctime?.getTime()}`;
  } catch {
    return "absent";
  }
}

function isThere(path: string): boolean {
  try {
    return look(path) !== null;
  } catch {
    return false;
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
    const { isFile, mode } = Deno.lstatSync(path);
    if (!isFile) throw new Error(noFile);
    if ((mode ?? 0) & 0o077) Deno.chmodSync(path, 0o600);
  }
}

/** What an operator can do about what SQLite, or the system, says of a file and its surroundings. */
const advice: readonly (readonly [problem: RegExp, advice: string])[] = [
  [/database or disk is full|No space left/i, "free some space there"],
  [/Read-only file system/i, "remount it, so that the agent can write there"],
  [/readonly database/i, "make the file and its folder writable for the agent's user"],
  [
    /unable to open database file|Permission denied|Operation not permitted/i,
    "see that the agent's user owns the file and its folder (chown -R)",
  ],
  [/Too many open files/i, "let the agent open more (ulimit -n, LimitNOFILE=)"],
  [/Not a directory/i, "see that state-dir names a folder"],
  [/disk I\/O error|Input\/output error/i, "see the kernel's log for what is wrong with the disk"],
];

/** What was thrown, in words, and what can be done about it, where that is known. */
export function explain(error: unknown): string {
  const whole = error instanceof Error ? error.message : String(error);
  // The runtime adds a number, its own call and a path, which is named anyway.
  const message = whole.replace(/ \(os error \d+\)(?:: \w+ '.*')?$/s, "");
  const known = advice.find(([problem]) => problem.test(message));
  return known ? `${message}; ${known[1]}` : message;
}

/**
 * What SQLite says of a file that is no database, or a broken one, or has no such table as ours. It
 * says much else of a file in which nothing is wrong: that it is locked, that the disk is full.
 */
const damages = new RegExp(
  "^(file is not a database|database disk image is malformed|malformed database schema" +
    "|attached databases must use the same text encoding" +
    "|no such column|table applied_topology has no column|unsupported file format)",
);

/** Whether what was thrown is due to what the file holds, and not to what surrounds it. */
export function isDamage(error: unknown): boolean {
  if (error instanceof CorruptStoreError) return true;
  return error instanceof Error && damages.test(error.message);
}
