import { DamagedStore } from "./row.ts";
import { TopologyStore } from "./topology_store.ts";

/**
 * What SQLite says of a file that is no database, or a broken one, or has no such table as ours. It
 * says much else of a file in which nothing is wrong: that it is locked, that the disk is full.
 */
const damages = new RegExp(
  "^(file is not a database|database disk image is malformed|malformed database schema" +
    "|attached databases must use the same text encoding" +
    "|no such column|table applied_topology has no column|unsupported file format)",
);

/** Whether what was thrown is due to what the file holds, and not to what surrounds it. */
export function isDamage(error: unknown): boolean {
  if (error instanceof DamagedStore) return true;
  return error instanceof Error && damages.test(error.message);
}

/**
 * Reads all of the file at `path`: what is damaged in it, in words, or null. Throws what SQLite says
 * when it cannot be read for another reason, as it is locked for longer than `busyTimeoutMs`.
 */
export function findDamage(path: string, busyTimeoutMs: number): string | null {
  let store: TopologyStore | undefined;
  try {
    store = TopologyStore.open(path, { readOnly: true, busyTimeoutMs });
    store.check();
    return null;
  } catch (error) {
    if (isDamage(error)) return (error as Error).message;
    throw error;
  } finally {
    store?.close();
  }
}
