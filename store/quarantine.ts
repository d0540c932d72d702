import { explain } from "./advice.ts";
import { findDamage } from "./damage.ts";
import { look } from "./file.ts";
import type { StoreOptions } from "./topology_store.ts";

/** How many damaged files are kept. */
const maximumKept = 3;
/** What SQLite keeps beside a file, for it alone. */
const companions = ["-journal", "-wal", "-shm"];

/** What is damaged, and cannot be set aside either. */
export class UnmovableStore extends Error {
  override readonly name = "UnmovableStore";
}

/**
 * Sets the file at `path` aside when it is damaged, as `….corrupt-20261122T190501Z` beside it, so that
 * a new one can be begun; answers what it is called then, or null when it was in order. Of those set
 * aside earlier the two newest stay. Only for whoever holds the store's lock. Throws what SQLite says
 * when the file cannot be read for another reason, and `UnmovableStore` when it cannot be moved.
 */
export function setAsideIfDamaged(
  path: string,
  { busyTimeoutMs = 0, now = Date.now }: Omit<StoreOptions, "readOnly"> = {},
): string | null {
  const damage = findDamage(path, busyTimeoutMs);
  if (damage === null) return null;
  try {
    return setAside(path, now());
  } catch (cause) {
    const message = `the store is damaged (${damage}), and cannot be set aside: ${explain(cause)}`;
    throw new UnmovableStore(message, { cause });
  }
}

function setAside(path: string, now: number): string {
  let time = now;
  const target = () => `${path}.corrupt-${new Date(time).toISOString().replace(/[-:]|\.\d+/g, "")}`;
  while (look(target())) time += 1000;
  Deno.renameSync(path, target());
  // Last, as a journal that is left alone undoes nothing: SQLite drops one that has no file.
  for (const companion of companions) {
    if (look(path + companion)) Deno.renameSync(path + companion, target() + companion);
  }
  const others = listSetAside(path).filter((it) => it !== target());
  for (const old of others.slice(maximumKept - 1)) {
    for (const suffix of ["", ...companions]) {
      if (look(old + suffix)) Deno.removeSync(old + suffix);
    }
  }
  return target();
}

/** The damaged files that were set aside of the one at `path`, the newest first. */
export function listSetAside(path: string): string[] {
  const at = path.lastIndexOf("/") + 1;
  const start = `${path.slice(at)}.corrupt-`;
  // What somebody else keeps beside them, such as a dump of one, is not ours to count or remove.
  const time = /^\d{8}T\d{6}Z$/;
  const names: string[] = [];
  try {
    for (const { name } of Deno.readDirSync(path.slice(0, at) || ".")) {
      if (name.startsWith(start) && time.test(name.slice(start.length))) names.push(name);
    }
  } catch {
    // Where the folder cannot be read, neither can the store, which says why.
  }
  return names.sort().reverse().map((name) => path.slice(0, at) + name);
}
