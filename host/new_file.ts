import { folderOf, forbiddenPath, unlessAbsent } from "./files.ts";

/**
 * Creates a file for the owner alone; returns false when anything is at the path, also a link. A file
 * that root creates in the folder of another user is that user's, because a service must be able to use
 * what a command of root left.
 */
export function createPrivateFile(path: string, text = ""): boolean {
  let created: Deno.FileInfo;
  try {
    created = createFile(path, text, 0o600);
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return false;
    throw error;
  }
  const { uid, gid } = Deno.statSync(folderOf(path));
  if (Deno.uid() === 0 && uid !== 0) {
    changeByDescriptor(path, created, ({ fchownSync }, descriptor) => {
      try {
        fchownSync(descriptor, uid!, gid!);
      } catch {
        // Root of a container, or on a network file system, may not; the file then stays its own.
      }
    });
  }
  return true;
}

/** Creates a file; follows no link, which another user with access to the folder could put there. */
function createFile(path: string, text: string, mode: number): Deno.FileInfo {
  const file = Deno.openSync(path, { write: true, createNew: true, mode });
  try {
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
    return file.statSync();
  } finally {
    file.close();
  }
}

/** Replaces a small file by one for the owner alone, in one step. Throws what the system says. */
export function replacePrivateFile(path: string, text: string): void {
  replaceFile(path, (temporary) => {
    if (!createPrivateFile(temporary, text)) throw new Deno.errors.AlreadyExists(temporary);
  });
}

/** Makes a file with `create`, and renames it to `path`. */
function replaceFile(path: string, create: (temporary: string) => void): void {
  // Two processes may write at once. Collectors of metrics ignore names with this ending.
  const temporary = `${path}.${Deno.pid}.tmp`;
  const removeTemporary = () => unlessAbsent(() => Deno.removeSync(temporary));
  // A killed process with the same id may have left it.
  removeTemporary();
  try {
    create(temporary);
    Deno.renameSync(temporary, path);
  } finally {
    removeTemporary();
  }
}

/**
 * Replaces a file in one step, so that a reader sees the old text or the new one; every user may read
 * it. Returns null, or a text for operators that says why the file stays as it was.
 */
export function replaceTextFile(path: string, text: string): string | null {
  try {
    const present = unlessAbsent(() => Deno.statSync(path));
    if (present?.isDirectory) throw new Error("it is a folder; name a file in it");
    if (present && !present.isFile) throw new Error("it is no regular file; name another one");
    replaceFile(path, (temporary) => {
      const created = createFile(temporary, text, 0o644);
      // The umask may have removed bits.
      if ((created.mode! & 0o777) !== 0o644) changeMode(temporary, created, 0o644);
    });
    return null;
  } catch (error) {
    return `Cannot write ${path}: ${explain(error)}`;
  }
}

const explanations: Record<string, string> = {
  ENOENT: "its folder does not exist; make it",
  ENOTDIR: "a part of its path is not a folder",
  EACCES: "permission denied; let the agent's user write to its folder",
  EPERM: "permission denied; let the agent's user write to its folder",
  EROFS: "the file system is read-only; under systemd, ReadWritePaths= must name its folder",
  ENOSPC: "no space is left; free some there",
  EDQUOT: "no space is left; free some there",
};

function explain(error: unknown): string {
  if (error instanceof Deno.errors.NotCapable) return `${forbiddenPath}; name another one`;
  const { code = "", message } = error as Error & { code?: string };
  return explanations[code] ?? message;
}

/** Lets only the owner use the file `present`, which was found at the path. */
export function makePrivate(path: string, present: Deno.FileInfo): void {
  changeMode(path, present, 0o600);
}

function changeMode(path: string, present: Deno.FileInfo, mode: number): void {
  changeByDescriptor(path, present, ({ fchmodSync }, descriptor) => fchmodSync(descriptor, mode));
}

/**
 * Deno changes modes and owners by path only, and follows links: the folder's user could put a link to
 * another file there at this moment.
 */
function changeByDescriptor(
  path: string,
  { dev, ino }: Deno.FileInfo,
  change: (fs: typeof import("node:fs"), descriptor: number) => void,
): void {
  // Loaded where it is needed, which is seldom: it takes 40 ms.
  const fs = globalThis.process.getBuiltinModule("node:fs");
  // A pipe in the file's place would block without O_NONBLOCK.
  const descriptor = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  try {
    const found = fs.fstatSync(descriptor);
    if (found.dev !== dev || found.ino !== ino) throw new Error("it was replaced meanwhile");
    change(fs, descriptor);
  } finally {
    fs.closeSync(descriptor);
  }
}
