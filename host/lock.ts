import { createFolderOf, linkProblem, openIfPresent, readSmallFile, statFile } from "./files.ts";
import { createPrivateFile } from "./new_file.ts";

/** How often to try again while another process holds the lock, in milliseconds. */
const retryMs = 200;
/** How much of a lock file is read, in bytes. */
const maximumOwnerBytes = 500;

/** The process that holds a lock. */
export interface LockOwner {
  readonly pid: number;
  /** An ISO 8601 time. */
  readonly since: string;
  readonly purpose: string;
}

/** Returns the owner in words; null is an owner that the lock file does not name. */
export function describeOwner(owner: LockOwner | null): string {
  if (!owner) return "another process";
  return `process ${owner.pid} since ${owner.since} for ${owner.purpose}`;
}

function parseOwner(text: string): LockOwner | null {
  const [, pid, since, purpose] = /^process (\d+) since (\S+) for (.*)\n/.exec(text) ?? [];
  return since && purpose !== undefined ? { pid: Number(pid), since, purpose } : null;
}

/**
 * Returns the owner that a lock file names, without locking it. Null when it names none, cannot be read
 * or is no regular file: behind a link may be a file that only this user can read.
 */
export function readLockOwner(path: string): LockOwner | null {
  try {
    return parseOwner(readSmallFile(path, maximumOwnerBytes) ?? "");
  } catch {
    return null;
  }
}

/** Another process, or another part of this one, holds the lock. */
export class LockHeld extends Error {
  override readonly name = "LockHeld";

  constructor(readonly owner: LockOwner | null) {
    super(`held by ${describeOwner(owner)}`);
  }
}

/** How to acquire a lock. */
export interface LockOptions {
  /** What it is for; processes that wait show it. */
  readonly purpose: string;
  /** Ends the waiting. */
  readonly signal?: AbortSignal;
  /** Called once, before the waiting; without it, a lock that is held is an error. */
  readonly onWait?: ((owner: LockOwner | null) => void) | undefined;
}

/**
 * A lock between processes, and within one, that the kernel releases when its owner dies. The file names
 * the owner, and is never removed: another process may just be opening it.
 */
export class FileLock {
  readonly #path: string;
  #file: Deno.FsFile;

  private constructor(path: string) {
    this.#path = path;
    this.#file = openLockFile(path);
  }

  /** Throws `LockHeld` when the lock is held and `onWait` is not given. */
  static async acquire(path: string, { purpose, signal, onWait }: LockOptions): Promise<FileLock> {
    createFolderOf(path);
    const lock = new FileLock(path);
    try {
      if (!lock.#tryLock()) {
        const owner = await readOwner(lock.#file);
        if (!onWait) throw new LockHeld(owner);
        onWait(owner);
        await lock.#wait(signal);
      }
    } catch (error) {
      lock.#file.close();
      throw error;
    }
    const owner = { pid: Deno.pid, since: new Date().toISOString(), purpose };
    overwrite(lock.#file, `${describeOwner(owner)}\n`);
    return lock;
  }

  /** Removes the owner's name, and releases the lock. */
  release(): void {
    overwrite(this.#file, "");
    this.#file.close();
  }

  async #wait(signal: AbortSignal | undefined): Promise<void> {
    do {
      await new Promise((resolve) => setTimeout(resolve, retryMs));
      signal?.throwIfAborted();
    } while (!this.#tryLock());
  }

  /** Locks the file that is at the path now; returns false when another process holds it. */
  #tryLock(): boolean {
    while (this.#file.tryLockSync(true)) {
      if (isAt(this.#path, this.#file)) return true;
      // It was removed or replaced; the next process would lock the new file.
      const next = openLockFile(this.#path);
      this.#file.close();
      this.#file = next;
    }
    return false;
  }
}

/** Opens a lock file, or creates it. Refuses a link, which may lead to another user's file, and a pipe. */
function openLockFile(path: string): Deno.FsFile {
  for (;;) {
    const present = statFile(path);
    const problem = present && linkProblem(present);
    if (problem) throw new Error(`it ${problem}`);
    if (!present) createPrivateFile(path);
    const file = openIfPresent(path, { read: true, write: true });
    // It may have been removed, or a link may have taken its place.
    if (file && isAt(path, file) && linkProblem(file.statSync()) === null) return file;
    file?.close();
  }
}

function isAt(path: string, file: Deno.FsFile): boolean {
  const present = statFile(path);
  const { dev, ino } = file.statSync();
  return present?.dev === dev && present.ino === ino;
}

/** Returns the owner. A process that has just got the lock has 250 ms to write its name. */
async function readOwner(file: Deno.FsFile): Promise<LockOwner | null> {
  for (let triesLeft = 5; triesLeft > 0; triesLeft--) {
    // The open file is read: at its path there may be another one by now.
    file.seekSync(0, Deno.SeekMode.Start);
    const bytes = new Uint8Array(maximumOwnerBytes);
    const length = file.readSync(bytes) ?? 0;
    const owner = parseOwner(new TextDecoder().decode(bytes.subarray(0, length)));
    if (owner) return owner;
    await new Promise((resolve) => setTimeout(resolve, retryMs / 4));
  }
  return null;
}

function overwrite(file: Deno.FsFile, text: string): void {
  try {
    file.truncateSync();
    file.seekSync(0, Deno.SeekMode.Start);
    file.writeSync(new TextEncoder().encode(text));
  } catch {
    // On a full disk the lock works without its text.
  }
}
