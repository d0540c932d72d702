import { namesIn, readText } from "./system.ts";

/** Folders of units, in systemd's order: the first that has a file wins. */
const folders = ["/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"]
  .map((it) => `${it}/systemd/system`);

/** A setting, and the file that has it. */
type Setting = { readonly value: string; readonly file: string };

/** A file that makes up a unit. */
type Source = { readonly path: string; readonly text: string };

/** A unit file with its drop-ins, or the mask in its place. */
export class Unit {
  /**
   * `mask` is set when the unit is masked; `hasOther`: a unit file is hidden by the mask. The first of
   * `sources` is the unit's own file; a masked one has none.
   */
  constructor(
    readonly path: string,
    readonly mask: { readonly hasOther: boolean } | null,
    readonly sources: readonly Source[],
  ) {}

  /** Returns the values of a key in order; an empty value clears those before it. */
  all(key: string): Setting[] {
    const line = new RegExp(`^[ \\t]*${key}[ \\t]*=(.*)$`, "gm");
    const given = this.sources.flatMap(({ path: file, text }) =>
      [...text.matchAll(line)].map(([, value = ""]) => ({ value: value.trim(), file }))
    );
    return given.slice(given.findLastIndex(({ value }) => value === "") + 1);
  }

  /** Returns the value of a key that takes one value: the last. */
  last(key: string): Setting | null {
    return this.all(key).at(-1) ?? null;
  }
}

/** Reads a unit as systemd does; null when there is none. `root` is put before the paths. */
export function readUnit(root: string, name: string): Unit | null {
  const paths = folders.map((folder) => `${root}${folder}/${name}`);
  for (const [index, path] of paths.entries()) {
    const text = readText(path);
    if (isMask(path) || text === "") {
      const hasOther = paths.slice(index + 1).some(readText);
      // A redirection whose command failed leaves an empty file, which for systemd is a mask.
      return text === "" && !hasOther ? null : new Unit(path, { hasOther }, []);
    }
    if (text !== null) return new Unit(path, null, [{ path, text }, ...dropIns(root, name)]);
  }
  return null;
}

/** Reads the drop-ins of a unit, sorted by name as systemd applies them. */
function dropIns(root: string, unit: string): Source[] {
  const paths = new Map<string, string>();
  for (const folder of folders.map((it) => `${root}${it}/${unit}.d`)) {
    for (const name of namesIn(folder)) {
      if (name.endsWith(".conf") && !paths.has(name)) paths.set(name, `${folder}/${name}`);
    }
  }
  const sorted = [...paths].sort(([a], [b]) => a < b ? -1 : 1);
  return sorted.map(([, path]) => ({ path, text: readText(path) ?? "" }));
}

function isMask(path: string): boolean {
  try {
    return Deno.readLinkSync(path) === "/dev/null";
  } catch {
    return false;
  }
}

/** The unit of the agent. */
export const unitName = "decnet-agent.service";
const configured = "/etc/systemd/system";

/** The agent's service, read from the files of systemd. */
export interface Service {
  readonly unit: Unit | null;
  /** The user that it runs as; null when the unit does not say. */
  readonly user: string | null;
  /** Groups of the service in addition to those of its user. */
  readonly groups: readonly string[];
  readonly isEnabled: boolean;
  readonly isActive: boolean;
  /** A timer that runs checks, or null; no file shows whether it is active. */
  readonly timer: { readonly name: string; readonly isEnabled: boolean } | null;
  /** A cron file that runs checks, or null. */
  readonly cronFile: string | null;
}

/** Reads the agent's service; `root` is put before the paths. Starts no program. */
export function readService(root: string): Service {
  const namesOf = (folder: string) => namesIn(`${root}${folder}`);
  const found = readUnit(root, unitName);
  const timers = namesOf(configured).filter((it) => /^decnet-agent.*\.timer$/.test(it));
  const ticking = namesOf(`${configured}/timers.target.wants`);
  const timer = timers.find((it) => ticking.includes(it)) ?? timers[0];
  const crons = namesOf("/etc/cron.d");
  return {
    unit: found,
    user: found?.last("User")?.value || null,
    groups: (found?.all("SupplementaryGroups") ?? []).flatMap(({ value }) => value.split(/\s+/)),
    isEnabled: namesOf(`${configured}/multi-user.target.wants`).includes(unitName),
    isActive: namesOf("/run/systemd/units").includes(`invocation:${unitName}`),
    timer: timer === undefined ? null : { name: timer, isEnabled: ticking.includes(timer) },
    cronFile: crons.find((name) => name.startsWith("decnet-agent")) ?? null,
  };
}

/** Returns the path of the program in a command line; null when only systemd can resolve it. */
export function programOf(command: string): string | null {
  const [, quoted, plain] = /^[@:+!|-]*(?:"([^"]*)"|(\S+))/.exec(command) ?? [];
  const path = quoted ?? plain ?? "";
  if (!path.startsWith("/") || /%[^%]/.test(path.replaceAll("%%", ""))) return null;
  return path.replaceAll("%%", "%");
}
