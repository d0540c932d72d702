/** A user, as the system's files tell; who is in no file has a number for a name. */
export interface Account {
  readonly uid: number;
  readonly name: string;
  /** The groups that the files put it in. */
  readonly groups: ReadonlySet<number>;
}

/** The users and groups of this host, as far as its own files know them. */
export class Accounts {
  readonly #users: readonly string[][];
  readonly #groups: readonly string[][];

  /** `root` is put before the paths; a file that cannot be read counts as empty. */
  constructor(root = "") {
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

  /** The number of a group, which may be given by that already; null when there is none. */
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

/** What the bits of a file's mode allow. */
export const reading = 4;
export const writing = 2;
export const searching = 1;

/** Whether the mode of a file lets a user do something with it; root may do all. */
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
  try {
    return Deno.readTextFileSync(path).split("\n").map((line) => line.split(":"));
  } catch {
    return [];
  }
}

/** What is at a path: its description, nothing, or why it cannot be looked at. */
type StatResult = Deno.FileInfo | "absent" | "forbidden";

/** Looks at a path; a link is followed. Throws what the system says of anything unusual. */
export async function look(path: string): Promise<StatResult> {
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
