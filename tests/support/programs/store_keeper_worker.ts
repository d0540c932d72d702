/** Acts as another agent: reads and repairs the store at the path in each message. */

import { FallbackStore } from "../../../store/recovery.ts";
import { StoreReader } from "../../../store/store_reader.ts";

const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<string>) => Promise<void>;
  postMessage: (kind: string) => void;
};

scope.onmessage = async ({ data: path }) => {
  const reader = new StoreReader(path, new FallbackStore(path));
  const { kind } = await reader.readStatus(new AbortController().signal);
  reader.close();
  scope.postMessage(kind);
};
