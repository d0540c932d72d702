/** Plays another agent at the store: reads at the path of each message, and mends what it can. */

import { StoreKeeper } from "../../../agent/snapshot.ts";
import { StoreMemory } from "../../../store/recovery.ts";

const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<string>) => Promise<void>;
  postMessage: (state: string) => void;
};

scope.onmessage = async ({ data: path }) => {
  const keeper = new StoreKeeper(path, new StoreMemory());
  const { state } = await keeper.read(new AbortController().signal);
  keeper.close();
  scope.postMessage(state);
};
