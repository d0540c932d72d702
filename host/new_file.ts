import { folderOf, forbiddenPath, statFile, unlessAbsent } from "./files.ts";
import { systemMessage } from "./log.ts";

/**
 * Creates a file for the owner alone; returns false when anything is at the path, also a link. A file
 * that root creates in the folder of another user is that user's, because a service must be able to use
 * what a command of root left.
 */
export function createPrivateFile(path: string, text = ""): boolean {
  // Before there is a new file: a service that starts meanwhile would find one that is not its own.
  if (folderOwner(path) && !statFile(path)) nodeFs();
  try {
    const file = Deno.openSync(path, { write: true, createNew: true, mode: 0o600 });
    try {
      const bytes = new TextEncoder().encode(text);
      for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
      const owner = folderOwner(path);
      if (owner) changeOwner(path, file, owner);
    } finally {
      file.close();
    }
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return false;
    throw error;
  }
}

/** Returns the owner of the file's folder where that is not root, but this process is; else null. */
function folderOwner(path: string): Deno.FileInfo | null {
  const folder = Deno.uid() === 0 ? Deno.statSync(folderOf(path)) : null;
  return folder?.uid === 0 ? null : folder;
}

function changeOwner(path: string, file: Deno.FsFile, { uid, gid }: Deno.FileInfo): void {
  // As long as the file is open, no other one can get its inode number.
  changeByDescriptor(path, () => file.statSync(), (fs, descriptor) => {
    try {
      fs.fchownSync(descriptor, uid!, gid!);
    } catch {
      // Root of a container, or on a network file system, may not; the file then stays its own.
    }
  });
}

/** Loads Node's functions for descriptors, 40 ms, only where one is changed; no caller could wait. */
const nodeFs = () => globalThis.process.getBuiltinModule("node:fs");

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
    // Of a new file Deno sets the mode by its descriptor, whatever the umask is (seen in 2.9.4).
    const options = { createNew: true, mode: 0o644 };
    replaceFile(path, (temporary) => Deno.writeTextFileSync(temporary, text, options));
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
};

function explain(error: unknown): string {
  if (error instanceof Deno.errors.NotCapable) return `${forbiddenPath}; name another one`;
  return explanations[(error as { code?: string }).code ?? ""] ?? systemMessage(error);
}

/** Lets only the owner use a file that exists. Throws `Error` for a link. */
export function makePrivate(path: string): void {
  changeByDescriptor(path, () => Deno.lstatSync(path), (fs, it) => fs.fchmodSync(it, 0o600));
}

/**
 * Deno can change a file that exists by its path only, and follows links: the folder's user could put a
 * link to another file there at this moment. `find` returns which file is meant, once it is open.
 */
function changeByDescriptor(
  path: string,
  find: () => Deno.FileInfo,
  change: (fs: typeof import("node:fs"), descriptor: number) => void,
): void {
  const fs = nodeFs();
  // A pipe in the file's place would block without O_NONBLOCK.
  const descriptor = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  try {
    const [found, meant] = [fs.fstatSync(descriptor), find()];
    if (found.dev !== meant.dev || found.ino !== meant.ino) throw new Error("it was replaced");
    change(fs, descriptor);
  } finally {
    fs.closeSync(descriptor);
  }
}
