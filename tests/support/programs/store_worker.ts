/** Acts as another process at the store: a worker that does what each message orders. */

import { DatabaseSync } from "node:sqlite";
import { TopologyStore } from "../../../store/topology_store.ts";

/**
 * `lock`: locks the file, answers, and releases it after a time or when `free` is notified, which then
 * holds 1. `put`: puts a topology and answers the name of the error, or null.
 */
export type StoreOrder =
  | { readonly lock: string; readonly free: Int32Array<SharedArrayBuffer>; readonly ms: number }
  | { readonly put: string; readonly id: string };

const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<StoreOrder>) => void;
  postMessage: (message: string | null) => void;
};

scope.onmessage = ({ data }) => {
  if ("lock" in data) lock(data.lock, data.free, data.ms);
  else scope.postMessage(put(data.put, data.id));
};

function lock(path: string, free: Int32Array<SharedArrayBuffer>, ms: number): void {
  const database = new DatabaseSync(path);
  database.exec("BEGIN EXCLUSIVE");
  scope.postMessage("locked");
  Atomics.wait(free, 0, 0, ms);
  Atomics.store(free, 0, 1);
  database.close();
  scope.postMessage("free");
}

function put(path: string, id: string): string | null {
  try {
    using store = TopologyStore.open(path);
    store.put(id, "h", "{}");
    return null;
  } catch (error) {
    return (error as Error).name;
  }
}
