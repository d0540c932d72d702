/** How often to try again while somebody else holds a lock, in milliseconds. */
const pauseMs = 200;
/** How much of a lock file is read, in bytes. */
const longestHolder = 500;

/** Somebody else holds the lock, and waiting was not wanted. */
export class LockHeld extends Error {
  override readonly name = "LockHeld";
}

/** How to get a lock. */
export interface LockOptions {
  /** What it is held for, in words for whoever has to wait. */
  readonly purpose: string;
  readonly signal: AbortSignal;
  /** Told once, with who holds it; without this there is no waiting. */
  readonly onWait?: ((holder: string) => void) | undefined;
}

/**
 * A lock between processes, and within one, that the kernel gives back when its holder dies. The file
 * tells who holds it; it stays, as removing it would race with whoever opens it.
 */
export class FileLock {
  readonly #file: Deno.FsFile;

  private constructor(file: Deno.FsFile) {
    this.#file = file;
  }

  /** Throws `LockHeld` when somebody else has it and `onWait` is not given. */
  static async acquire(path: string, { purpose, signal, onWait }: LockOptions): Promise<FileLock> {
    Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")) || "/", { recursive: true, mode: 0o700 });
    let file = open(path);
    try {
      for (let isFirst = true;;) {
        const isLocked = file.tryLockSync(true);
        if (isLocked && isStillAt(path, file)) break;
        if (isLocked) {
          // It was removed or replaced: whoever comes next locks another one.
          const next = open(path);
          file.close();
          file = next;
          continue;
        }
        if (isFirst) {
          const holder = await readLockOwner(file);
          if (!onWait) throw new LockHeld(`held by ${holder}`);
          onWait(holder);
        }
        isFirst = false;
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
        signal.throwIfAborted();
      }
      const since = new Date().toISOString();
      writeHolder(file, `process ${Deno.pid} since ${since} for ${purpose}\n`);
      return new FileLock(file);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** Gives the lock back. */
  release(): void {
    writeHolder(this.#file, "");
    this.#file.close();
  }
}

/** What is locked is written to: that must not be what somebody's link leads to, nor a pipe. */
function open(path: string): Deno.FsFile {
  const present = lookAt(path);
  if (present && !present.isFile) throw new Error("it is not a regular file");
  return Deno.openSync(path, { read: true, write: true, create: true, mode: 0o600 });
}

/** Whether `file` is what is at `path`, by that name alone. */
function isStillAt(path: string, file: Deno.FsFile): boolean {
  const [present, { dev, ino }] = [lookAt(path), file.statSync()];
  return present !== null && present.isFile && present.dev === dev && present.ino === ino;
}

/** What is at `path`, be it a link; null when there is nothing. */
function lookAt(path: string): Deno.FileInfo | null {
  try {
    return Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** Who holds it, as the file tells; whoever has got it this very moment needs another one for that. */
async function readLockOwner(file: Deno.FsFile): Promise<string> {
  for (let triesLeft = 5; triesLeft > 0; triesLeft--) {
    const holder = readStart(file).trim();
    if (holder !== "") return holder;
    await new Promise((resolve) => setTimeout(resolve, pauseMs / 4));
  }
  return "another process";
}

/** Not by its name, at which there may be nothing any more, or something else. */
function readStart(file: Deno.FsFile): string {
  const bytes = new Uint8Array(longestHolder);
  file.seekSync(0, Deno.SeekMode.Start);
  return new TextDecoder().decode(bytes.subarray(0, file.readSync(bytes) ?? 0));
}

/** Who holds it is told for others to read; on a full disk the lock holds all the same. */
function writeHolder(file: Deno.FsFile, text: string): void {
  try {
    file.truncateSync();
    file.seekSync(0, Deno.SeekMode.Start);
    file.writeSync(new TextEncoder().encode(text));
  } catch {
    // There is nothing to mend: the kernel keeps the lock, not the text.
  }
}
