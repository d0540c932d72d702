import fs from "node:fs";
import { folderOf } from "./files.ts";

/**
 * Creates a file for the owner alone; returns false when anything is at the path, also a link. A file
 * that root creates in the folder of another user is that user's, because a service must be able to use
 * what a command of root left.
 */
export function createPrivateFile(path: string, text = ""): boolean {
  let created: Deno.FileInfo;
  try {
    const file = Deno.openSync(path, { write: true, createNew: true, mode: 0o600 });
    try {
      file.writeSync(new TextEncoder().encode(text));
      created = file.statSync();
    } finally {
      file.close();
    }
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return false;
    throw error;
  }
  const { uid, gid } = Deno.statSync(folderOf(path));
  if (Deno.uid() === 0 && uid !== 0) {
    withDescriptor(path, created, (descriptor) => changeOwner(descriptor, uid!, gid!));
  }
  return true;
}

function changeOwner(descriptor: number, uid: number, gid: number): void {
  try {
    fs.fchownSync(descriptor, uid, gid);
  } catch {
    // Root of a container, or on a network file system, may not; the file then stays its own.
  }
}

/** Replaces a small file by one for the owner alone, in one step. Throws what the system says. */
export function replacePrivateFile(path: string, text: string): void {
  // Two processes may write at once.
  const temporary = `${path}.${Deno.pid}.tmp`;
  // A killed process with the same id may have left it.
  fs.rmSync(temporary, { force: true });
  try {
    if (!createPrivateFile(temporary, text)) throw new Deno.errors.AlreadyExists(temporary);
    Deno.renameSync(temporary, path);
  } finally {
    fs.rmSync(temporary, { force: true });
  }
}

/** Lets only the owner use the file `present`, which was found at the path. */
export function makePrivate(path: string, present: Deno.FileInfo): void {
  withDescriptor(path, present, (descriptor) => fs.fchmodSync(descriptor, 0o600));
}

/**
 * Deno changes modes and owners by path only, and follows links: the folder's user could put a link to
 * another file there at this moment.
 */
function withDescriptor(
  path: string,
  { dev, ino }: Deno.FileInfo,
  change: (descriptor: number) => void,
): void {
  // A pipe in the file's place would block without O_NONBLOCK.
  const descriptor = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  try {
    const found = fs.fstatSync(descriptor);
    if (found.dev !== dev || found.ino !== ino) throw new Error("it was replaced meanwhile");
    change(descriptor);
  } finally {
    fs.closeSync(descriptor);
  }
}
