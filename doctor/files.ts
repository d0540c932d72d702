import type { Accounts } from "./accounts.ts";

/** What is at a path: its description, nothing, or why it cannot be looked at. */
export type Sight = Deno.FileInfo | "absent" | "forbidden";

/** Looks at a path; a link is followed. Throws what the system says of anything unusual. */
export async function look(path: string): Promise<Sight> {
  try {
    return await Deno.stat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "absent";
    if (error instanceof Deno.errors.NotADirectory) return "absent";
    if (error instanceof Deno.errors.PermissionDenied) return "forbidden";
    throw error;
  }
}

/** Owner, group and mode of a file in words. */
export function describe({ uid, gid, mode }: Deno.FileInfo, accounts: Accounts): string {
  const owner = accounts.byUid(uid ?? -1).name;
  return `owner ${owner}, group ${accounts.groupName(gid ?? -1)}, mode ${modeOf(mode)}`;
}

/** The text of a small file, or null when it cannot be read. */
export async function readText(path: string): Promise<string | null> {
  try {
    const { isFile, size } = await Deno.stat(path);
    return isFile && size <= 2 ** 20 ? await Deno.readTextFile(path) : null;
  } catch {
    return null;
  }
}

/** The names in a folder; none when it cannot be read. */
export async function namesIn(path: string): Promise<string[]> {
  try {
    return (await Array.fromAsync(Deno.readDir(path))).map(({ name }) => name).sort();
  } catch {
    return [];
  }
}

/** A path or a name as a word of a command line. */
export function quote(text: string): string {
  return /^[\w./:@%+,=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function modeOf(mode: number | null): string {
  return ((mode ?? 0) & 0o7777).toString(8).padStart(4, "0");
}
