import fs from "node:fs";
import { folderOf } from "./files.ts";

/**
 * Creates a file for the owner alone, and opens it. Throws `Deno.errors.AlreadyExists` when anything is at
 * the path, also a link. A file that root creates in the folder of another user is that user's, because
 * a service must be able to use what a command of root left.
 */
export function createPrivateFile(path: string): Deno.FsFile {
  const file = Deno.openSync(path, { read: true, write: true, createNew: true, mode: 0o600 });
  try {
    const folder = Deno.statSync(folderOf(path));
    if (Deno.uid() === 0 && folder.uid !== 0) {
      withDescriptor(path, file.statSync(), (it) => changeOwner(it, folder));
    }
    return file;
  } catch (error) {
    file.close();
    Deno.removeSync(path);
    throw error;
  }
}

function changeOwner(descriptor: number, { uid, gid }: Deno.FileInfo): void {
  try {
    fs.fchownSync(descriptor, uid!, gid!);
  } catch {
    // Root of a container, or on a network file system, may not; the file then stays its own.
  }
}

/** Lets only the owner use the file `present`, which was found at the path. */
export function makePrivate(path: string, present: Deno.FileInfo): void {
  withDescriptor(path, present, (it) => fs.fchmodSync(it, 0o600));
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
