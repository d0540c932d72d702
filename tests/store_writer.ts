import { FileLock } from "../host/mod.ts";
import { lockPathOf, TopologyStore } from "../store/mod.ts";

/** Writes to the store at `path` as an apply or a teardown in another process does. */
export async function asWriter(
  path: string,
  write: (store: TopologyStore) => void,
): Promise<void> {
  const { signal } = new AbortController();
  const lock = await FileLock.acquire(lockPathOf(path), { purpose: "a test", signal });
  {
    using store = TopologyStore.open(path);
    write(store);
  }
  lock.release();
}
