import { FileLock } from "../host/lock.ts";
import { isWritingImpossible, lockPathOf } from "../store/file.ts";
import { openLastingStore, type StoreMemory } from "../store/recovery.ts";

/** Opening it mends what can be mended; whoever else is at it does the same. */
export async function repairStore(path: string, memory: StoreMemory): Promise<void> {
  const lockPath = lockPathOf(path);
  let lock: FileLock | null = null;
  try {
    lock = await FileLock.acquire(lockPath, {
      purpose: "mending the store",
      signal: new AbortController().signal,
    });
  } catch (error) {
    if (!isWritingImpossible(error, lockPath)) return;
    // Where there can be no lock, nobody who would need one can write.
  }
  try {
    openLastingStore(path, memory).close();
  } catch {
    // Reading tells why, or it was locked for a moment.
  } finally {
    lock?.release();
  }
}
