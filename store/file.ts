import type { DatabaseSync } from "node:sqlite";
import { folderOf, linkProblem, openIfPresent, statFile } from "../host/files.ts";
import { messageOf, systemMessage } from "../host/log.ts";

/** The file holds what the store never writes, though SQLite can read it. */
export class CorruptStoreError extends Error {
  override readonly name = "CorruptStoreError";
}

/** What an operator can do about each reason; null where the caller knows better. */
const advice = {
  "damaged": null,
  "locked": null,
  "half-written": "make the file and its folder writable for the agent's user",
  "full": "free some space there",
  "read-only-mount": "remount it, so that the agent can write there",
  "not-writable": "make the file and its folder writable for the agent's user",
  "no-access": "see that the agent's user owns the file and its folder (chown -R)",
  "too-many-open-files": "let the agent open more (ulimit -n, LimitNOFILE=)",
  "not-a-folder": "see that state-dir names a folder",
  "forbidden-path": "set state-dir to another folder",
  "io-error": "see the kernel's log for what is wrong with the disk",
  "other": null,
} as const;

/** Why a store cannot be used: its content, another process, or the place where it lies. */
export type StoreReason = keyof typeof advice;

/** How the messages of SQLite and the system begin; the system's may also be about the lock. */
const messages: readonly (readonly [message: RegExp, reason: StoreReason])[] = [
  [/^(file is not a database|database disk image is malformed)/, "damaged"],
  [/^(malformed database schema|unsupported file format)/, "damaged"],
  [/^(no such column|table \w+ has no column)/, "damaged"],
  [/^attached databases must use the same text encoding/, "damaged"],
  [/^database is locked/, "locked"],
  [/^(database or disk is full|No space left)/, "full"],
  [/^Read-only file system/, "read-only-mount"],
  [/^attempt to write a readonly database/, "not-writable"],
  [/^(unable to open database file|Permission denied|Operation not permitted)/, "no-access"],
  [/^Too many open files/, "too-many-open-files"],
  [/^Not a directory/, "not-a-folder"],
  [/^the agent may not use files/, "forbidden-path"],
  [/^(disk I\/O error|Input\/output error)/, "io-error"],
];

/** SQLite's SQLITE_READONLY_ROLLBACK: a reader found a change that only a writer may undo. */
const readOnlyRollback = 776;

/** Returns why the store cannot be used. SQLite gives few codes: only this function reads messages. */
export function storeReason(error: unknown): StoreReason {
  if (error instanceof CorruptStoreError) return "damaged";
  if ((error as { errcode?: unknown } | null)?.errcode === readOnlyRollback) return "half-written";
  const message = messageOf(error);
  return messages.find(([pattern]) => pattern.test(message))?.[1] ?? "other";
}

/** Returns the message of an error, followed by what an operator can do about it. */
export function explain(error: unknown): string {
  const message = systemMessage(error);
  const known = advice[storeReason(error)];
  return known ? `${message}; ${known}` : message;
}

/** Returns true when no process can write at `path`; a file without permission is its owner's to write. */
export function isWritingImpossible(error: unknown, path: string): boolean {
  const reason = storeReason(error);
  return reason === "full" || reason === "read-only-mount" ||
    (reason === "no-access" && fileVersion(path) === "absent");
}

/**
 * Returns the error of opening the file at `path` for writing; null when it opens, or is absent. Not to be
 * called during a change: it drops every lock that SQLite has on the file in this process.
 */
export function findWriteError(path: string): Error | null {
  try {
    openIfPresent(path, { write: true })?.close();
    return null;
  } catch (error) {
    return error as Error;
  }
}

/** Describes an error of writing the store. */
export function writeProblem(error: unknown): string {
  return `the store cannot be written: ${explain(error)}`;
}

/**
 * Returns why SQLite cannot create its journal beside the file at `path`; null when it can, or when the
 * folder's mode does not show it. Ignores capabilities such as CAP_DAC_OVERRIDE, except for root.
 */
export function findFolderProblem(path: string, uid = Deno.uid()): string | null {
  const folder = statFile(folderOf(path));
  if (!folder?.isDirectory || uid === 0) return null;
  // With an access control list, the group's bits hold the list's mask.
  const writers = folder.uid === uid ? 0o200 : 0o022;
  if (((folder.mode ?? writers) & writers) !== 0) return null;
  const owner = folder.uid === uid ? "" : `, which is of user ${folder.uid}`;
  const problem = `user ${uid} may not write to its folder${owner}`;
  return writeProblem(`${problem}; ${advice["not-writable"]}`);
}

/** How long a lock is waited for, the same while the process stops, and between two tries, in ms. */
const lockedTimeoutMs = 5_000;
const stoppingTimeoutMs = 500;
const retryPauseMs = 50;

/** Repeats `work` for up to 5 s while the store is locked; SQLite's own wait would block the process. */
export async function retryWhileLocked<T>(work: () => T, signal: AbortSignal): Promise<T> {
  for (const startedAt = performance.now();;) {
    try {
      return work();
    } catch (error) {
      const elapsedMs = performance.now() - startedAt;
      const timeoutMs = signal.aborted ? stoppingTimeoutMs : lockedTimeoutMs;
      if (storeReason(error) !== "locked" || elapsedMs > timeoutMs) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, retryPauseMs));
  }
}

/** Returns the path of another file in the folder of the store. */
export function besideStore(storePath: string, name: string): string {
  return storePath.replace(/[^/]*$/, name);
}

/** Returns the path of the lock for writers of the store at `storePath`. */
export function lockPathOf(storePath: string): string {
  return besideStore(storePath, "apply.lock");
}

/** The suffixes of the store's file, and of those that SQLite keeps beside it. */
export const suffixes = ["", "-journal", "-wal", "-shm"] as const;

/**
 * Throws unless SQLite may open the file at `path`, and those beside it. It follows links in the file's
 * place, waits for ever on a pipe, and as root gives the files beside it the owner of the file. Returns
 * the suffixes of the files that exist.
 */
export function checkFiles(path: string): string[] {
  return suffixes.filter((suffix) => {
    const present = statFile(path + suffix);
    const problem = present && linkProblem(present);
    if (problem) {
      throw new Error(`${suffix === "" ? "it" : `its ${suffix} file`} ${problem}`);
    }
    if (present && suffix === "-journal") checkJournal(path + suffix);
    return present !== null;
  });
}

/** How a journal ends that names a file which SQLite removes after the journal was used. */
const superJournalMark = "217,213,5,249,32,161,99,215";

/** Throws for a journal that names a further file: no agent writes one, and that file may be any. */
function checkJournal(path: string): void {
  const end = new Uint8Array(8);
  const file = openIfPresent(path);
  // A writer that has just ended has removed it.
  if (!file) return;
  try {
    const { size } = file.statSync();
    file.seekSync(Math.max(0, size - end.length), Deno.SeekMode.Start);
    file.readSync(end);
  } finally {
    file.close();
  }
  if (end.join() === superJournalMark) {
    throw new CorruptStoreError("its journal names another file");
  }
}

/**
 * Opens the file at `path` for reading; null when it is absent. Statements do not wait for a lock. Takes
 * the class of node:sqlite, which a check loads only while the engine works.
 */
export function openForReading(path: string, Database: typeof DatabaseSync): DatabaseSync | null {
  const present = checkFiles(path);
  if (!present.includes("")) return null;
  // After a crash the journal has to be rolled back, which only a writer may do.
  const database = new Database(path, { readOnly: !present.includes("-journal") });
  // The runtime waits 5 s by default, and ignores its option `timeout` here.
  database.exec("PRAGMA busy_timeout = 0; PRAGMA query_only = ON");
  return database;
}

/** Returns a text that changes with the file; SQLite's change counter may be equal in a copy over it. */
export function fileVersion(path: string): string {
  try {
    const { dev, ino, size, mtime, ctime } = Deno.lstatSync(path);
    return `${dev} ${ino} ${size} ${mtime?.getTime()} ${ctime?.getTime()}`;
  } catch {
    return "absent";
  }
}

/** Returns the quarantined files of the store at `path`, the newest first. */
export function listQuarantined(path: string): string[] {
  const start = `${path}.corrupt-`;
  // An operator's files beside them, such as a dump, are neither counted nor removed.
  const time = /^\d{8}T\d{6}Z$/;
  try {
    return [...Deno.readDirSync(folderOf(path))].map(({ name }) => besideStore(path, name))
      .filter((it) => it.startsWith(start) && time.test(it.slice(start.length))).sort().reverse();
  } catch {
    // Without access to the folder, reading the store fails and says why.
    return [];
  }
}
