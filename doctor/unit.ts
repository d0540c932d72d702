import { namesIn, readText } from "./files.ts";

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
