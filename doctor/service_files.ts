import { look, namesIn, readText } from "./files.ts";

/** Where units are looked for; what stands in an earlier one counts. */
const folders = ["/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system"]
  .concat("/usr/lib/systemd/system", "/lib/systemd/system");

/** A setting, and the file that has it. */
interface Setting {
  readonly value: string;
  readonly file: string;
}

/** A file that makes up a unit. */
interface Source {
  readonly path: string;
  readonly text: string;
}

/** A unit's file with its drop-ins, or the mask that stands in its place. */
export class Unit {
  readonly path: string;
  /** Of a masked unit, whether there is one behind the mask; else null. */
  readonly mask: { readonly hasOther: boolean } | null;
  readonly #sources: readonly Source[];

  /** The first of `sources` is the unit's own file; a masked one has none. */
  constructor(path: string, mask: Unit["mask"], ...sources: readonly Source[]) {
    this.path = path;
    this.mask = mask;
    this.#sources = sources;
  }

  /** All values that count, in their order: an empty one takes back those before it. */
  all(key: string): Setting[] {
    const line = new RegExp(`^[ \\t]*${key}[ \\t]*=(.*)$`, "gm");
    const given = this.#sources.flatMap(({ path: file, text }) =>
      [...text.matchAll(line)].map(([, value = ""]) => ({ value: value.trim(), file }))
    );
    return given.slice(given.findLastIndex(({ value }) => value === "") + 1);
  }

  /** The value that counts where there can be but one. */
  last(key: string): Setting | null {
    return this.all(key).at(-1) ?? null;
  }
}

/** Reads a unit as systemd does; null when there is none. `root` is put before the paths. */
export async function readUnit(root: string, name: string): Promise<Unit | null> {
  const paths = folders.map((folder) => `${root}${folder}/${name}`);
  for (const [index, path] of paths.entries()) {
    if (isMask(path)) {
      const behind = await Promise.all(paths.slice(index + 1).map(readText));
      return new Unit(path, { hasOther: behind.some((text) => text !== null) });
    }
    const text = await readText(path);
    if (text !== null) return new Unit(path, null, { path, text }, ...await dropIns(root, name));
  }
  return null;
}

/** Whether a unit of this name is installed. */
export async function hasUnit(root: string, name: string): Promise<boolean> {
  const all = await Promise.all(folders.map((folder) => namesIn(`${root}${folder}`)));
  return all.some((names) => names.includes(name));
}

/** By their names, whichever folder they are in. */
async function dropIns(root: string, unit: string): Promise<Source[]> {
  const paths = new Map<string, string>();
  for (const folder of folders.map((it) => `${root}${it}/${unit}.d`)) {
    for (const name of await namesIn(folder)) {
      if (name.endsWith(".conf") && !paths.has(name)) paths.set(name, `${folder}/${name}`);
    }
  }
  const sorted = [...paths].sort(([a], [b]) => a < b ? -1 : 1).map(([, path]) => path);
  return await Promise.all(
    sorted.map(async (path) => ({ path, text: await readText(path) ?? "" })),
  );
}

function isMask(path: string): boolean {
  try {
    return Deno.readLinkSync(path) === "/dev/null";
  } catch {
    return false;
  }
}

/** The unit of the loop. */
export const unit = "decnet-agent.service";
const invocation = "invocation:";
const configured = "/etc/systemd/system";

/** What the files of systemd tell of the agent's service. */
export interface Service {
  /** Whether systemd runs this host. */
  readonly hasSystemd: boolean;
  readonly unit: Unit | null;
  /** Whom it runs as; null when it does not say. */
  readonly user: string | null;
  /** The groups that it has beside those of its user. */
  readonly groups: readonly string[];
  readonly isEnabled: boolean;
  readonly isActive: boolean;
  /** Other units that are active and have decnet in their names. */
  readonly others: readonly string[];
  /** A timer that runs checks, or null; that it is active is in no file. */
  readonly timer: { readonly name: string; readonly isEnabled: boolean } | null;
  /** A cron file that runs checks, or null. */
  readonly cronFile: string | null;
}

/** Reads what systemd keeps in files; `root` is put before the paths. Starts no program. */
export async function readService(root: string): Promise<Service> {
  const namesOf = (folder: string) => namesIn(`${root}${folder}`);
  const active = (await namesOf("/run/systemd/units"))
    .filter((name) => name.startsWith(invocation)).map((name) => name.slice(invocation.length));
  const found = await readUnit(root, unit);
  const timers = (await namesOf(configured)).filter((it) => /^decnet-agent.*\.timer$/.test(it));
  const ticking = await namesOf(`${configured}/timers.target.wants`);
  const timer = timers.find((it) => ticking.includes(it)) ?? timers[0];
  const crons = await namesOf("/etc/cron.d");
  return {
    hasSystemd: (await namesOf("/run/systemd")).includes("units"),
    unit: found,
    user: found?.last("User")?.value || null,
    groups: (found?.all("SupplementaryGroups") ?? []).flatMap(({ value }) => value.split(/\s+/)),
    isEnabled: (await namesOf(`${configured}/multi-user.target.wants`)).includes(unit),
    isActive: active.includes(unit),
    others: active.filter((name) => name.includes("decnet") && name !== unit),
    timer: timer === undefined ? null : { name: timer, isEnabled: ticking.includes(timer) },
    cronFile: crons.find((name) => name.startsWith("decnet-agent")) ?? null,
  };
}

/** What a unit starts, and why that cannot be. */
interface ProgramProblem {
  readonly text: string;
  /** The file of the unit, or its drop-in, that names the program. */
  readonly file: string;
}

/** Whether the program of a unit is there; null when it is, or cannot be told. */
export async function findProgramProblem(
  unit: Unit,
  root: string,
): Promise<ProgramProblem | null> {
  const setting = unit.last("ExecStart");
  if (setting === null) return null;
  const path = programOf(setting.value);
  if (path === null) return null;
  const sight = await look(`${root}${path}`);
  if (sight === "forbidden") return null;
  const isProgram = typeof sight === "object" && sight.isFile && ((sight.mode ?? 0) & 0o111) !== 0;
  if (isProgram) return null;
  const why = sight === "absent" ? "does not exist" : "is no program";
  return { text: `${setting.file} has the service run ${path}, which ${why}`, file: setting.file };
}

/** The path of the program in a command line; null where systemd has to search or to fill in. */
export function programOf(command: string): string | null {
  const [, quoted, plain] = /^[@:+!|-]*(?:"([^"]*)"|(\S+))/.exec(command) ?? [];
  const path = quoted ?? plain ?? "";
  if (!path.startsWith("/") || /%[^%]/.test(path.replaceAll("%%", ""))) return null;
  return path.replaceAll("%%", "%");
}
