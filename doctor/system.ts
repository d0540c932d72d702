import { readConfigFile } from "../host/files.ts";

/** A user of this host; without an entry in /etc/passwd, its number is the name. */
export interface Account {
  readonly uid: number;
  readonly name: string;
  /** The groups that the files put it in. */
  readonly groups: ReadonlySet<number>;
}

/** The users and groups in /etc/passwd and /etc/group. */
export class Accounts {
  readonly #users: readonly string[][];
  readonly #groups: readonly string[][];

  /** `root` is put before the paths; a file that cannot be read counts as empty. */
  constructor(root: string) {
    this.#users = readFields(`${root}/etc/passwd`);
    this.#groups = readFields(`${root}/etc/group`);
  }

  /** The user with this number. */
  byUid(uid: number): Account {
    const user = this.#users.find((fields) => fields[2] === String(uid));
    return this.#account(uid, user?.[0] ?? String(uid), user?.[3]);
  }

  /** The user of this name, or null. */
  byName(name: string): Account | null {
    const user = this.#users.find((fields) => fields[0] === name);
    return user ? this.#account(Number(user[2]), name, user[3]) : null;
  }

  /** The name of a group; its number where it has none. */
  groupName(gid: number): string {
    return this.#groups.find((fields) => fields[2] === String(gid))?.[0] ?? String(gid);
  }

  /** The number of a group, given by name or number; null when there is none. */
  groupNumber(name: string): number | null {
    const gid = /^\d+$/.test(name) ? name : this.#groups.find((fields) => fields[0] === name)?.[2];
    return gid === undefined ? null : Number(gid);
  }

  #account(uid: number, name: string, gid: string | undefined): Account {
    const member = this.#groups.filter((fields) => fields[3]?.split(",").includes(name));
    const groups = [gid, ...member.map((fields) => fields[2])].filter((it) => it !== undefined);
    return { uid, name, groups: new Set(groups.map(Number)) };
  }
}

/** Bits of a file's mode. */
export const reading = 4;
export const writing = 2;
export const searching = 1;

/** Returns true when the mode of a file allows a user all of `wanted`; root may do everything. */
export function mayUse(
  { uid, groups }: Account,
  file: Pick<Deno.FileInfo, "uid" | "gid" | "mode">,
  wanted: number,
): boolean {
  if (uid === 0) return true;
  const mode = file.mode ?? 0;
  const shift = file.uid === uid ? 6 : groups.has(file.gid ?? -1) ? 3 : 0;
  return (mode >> shift & wanted) === wanted;
}

function readFields(path: string): string[][] {
  return (readText(path) ?? "").split("\n").map((line) => line.split(":"));
}

/** What stat found at a path. */
type StatResult = Deno.FileInfo | "absent" | "forbidden";

/**
 * Returns what is at a path; follows links, unless `stat` is `Deno.lstat`. Throws every other error of
 * the system.
 */
export async function look(path: string, stat = Deno.stat): Promise<StatResult> {
  try {
    return await stat(path);
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
  const octal = ((mode ?? 0) & 0o7777).toString(8).padStart(4, "0");
  return `owner ${owner}, group ${accounts.groupName(gid ?? -1)}, mode ${octal}`;
}

/** The text of a file of at most 1 MiB, or null when it cannot be read. */
export function readText(path: string): string | null {
  try {
    return readConfigFile(path);
  } catch {
    return null;
  }
}

/** The names in a folder; none when it cannot be read. */
export function namesIn(path: string): string[] {
  try {
    return [...Deno.readDirSync(path)].map(({ name }) => name).sort();
  } catch {
    return [];
  }
}

/** Quotes a path for a shell, so that no command takes it for an option. */
export function quotePath(path: string): string {
  return quote(path.startsWith("-") ? `./${path}` : path);
}

/** Returns how to let a user use a folder and what is in it. */
export function makeOwner(path: string, { name }: Account): string {
  return `make ${name} the owner of ${path} and of everything in it (chown -R)`;
}

/** Returns how to let a user reach a path below folders that it cannot enter. */
export function openFoldersAbove(path: string, { name }: Account): string {
  return `let user ${name} enter the folders above ${path} (chmod, setfacl)`;
}

/** Returns how to move away what lies at a path. */
export function moveAway(path: string): string {
  return `move it away: mv ${quotePath(path)} ${quotePath(`${path}.old`)}`;
}

/** Quotes a word for a shell, if this is needed. */
export function quote(text: string): string {
  return /^[\w./:@%+,=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
