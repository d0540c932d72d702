import { look, quote } from "./files.ts";

/** With less than that free, a large document may not find its place in the store, in bytes. */
const leastFree = 16 * 2 ** 20;

/** Why the file system of a folder takes nothing more, or soon will not. */
export type SpaceProblem = { readonly text: string; readonly kind: "space" | "files" };

/** How full the file system of a folder is, for root or for others; null when it has room. */
export async function findSpaceProblem(
  folder: string,
  isRoot: boolean,
): Promise<SpaceProblem | null> {
  const { statfs } = await import("node:fs/promises");
  const { bsize, bfree, bavail, files, ffree } = await statfs(folder);
  // Some file systems count no files.
  if (files > 0 && ffree === 0) {
    return { text: `no files can be made on the file system of ${folder}`, kind: "files" };
  }
  // Some of it is kept for root.
  const free = (isRoot ? bfree : bavail) * bsize;
  if (free >= leastFree) return null;
  const size = `${Math.floor(free / 2 ** 20)} MiB`;
  const text = `only ${size} are free on the file system of ${folder}: an apply may fail`;
  return { text, kind: "space" };
}

/** The command that shows what takes the room; what of it can go, only a person knows. */
export function showTakers(folder: string, kind: SpaceProblem["kind"]): string {
  const count = kind === "files" ? "du --inodes -xd 3" : "du -xmd 3";
  return `${count} ${mountOf(folder)} | sort -n | tail -n 20`;
}

/** The command that lets a file system be written to again. */
export function remount(folder: string): string {
  return `mount -o remount,rw ${mountOf(folder)}`;
}

/** Whether the file system of a folder is read-only, where what is in it does not tell. */
export async function isReadOnly(folder: string): Promise<boolean> {
  // To rename what there is not changes nothing; the file system is asked first.
  const absent = `${folder}/.${crypto.randomUUID()}`;
  try {
    if (await look(absent) === "absent") await Deno.rename(absent, `${absent}.new`);
  } catch (error) {
    return /Read-only file system/.test((error as Error).message);
  }
  return false;
}

function mountOf(folder: string): string {
  return `"$(findmnt -n -o TARGET -T ${quote(folder)})"`;
}
