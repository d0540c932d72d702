/** Acts as another process at the store: a worker that does what each message orders. */

import { DatabaseSync } from "node:sqlite";
import { FallbackStore } from "../../../store/recovery.ts";
import { StoreReader } from "../../../store/store_reader.ts";
import { TopologyStore } from "../../../store/topology_store.ts";

/**
 * `lock`: locks the file, answers, and releases it after a time or when `free` is notified, which then
 * holds 1. `put`: puts a topology and answers the name of the error, or null. `repair`: reads and repairs
 * the store as another agent, and answers the kind of its status.
 */
export type StoreOrder =
  | {
    readonly kind: "lock";
    readonly path: string;
    readonly free: Int32Array<SharedArrayBuffer>;
    readonly ms: number;
  }
  | { readonly kind: "put"; readonly path: string; readonly id: string }
  | { readonly kind: "repair"; readonly path: string };

const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<StoreOrder>) => Promise<void>;
  postMessage: (message: string | null) => void;
};

scope.onmessage = async ({ data: order }) => {
  if (order.kind === "lock") lock(order.path, order.free, order.ms);
  else if (order.kind === "put") scope.postMessage(put(order.path, order.id));
  else scope.postMessage(await repair(order.path));
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

async function repair(path: string): Promise<string> {
  const reader = new StoreReader(path, new FallbackStore(path));
  const { kind } = await reader.readStatus(new AbortController().signal);
  reader.close();
  return kind;
}
