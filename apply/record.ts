import type { AppliedTopology, TopologyRows } from "../store/mod.ts";
import { patiently } from "./patience.ts";
import { Refusal } from "./refusal.ts";

/** What is stored, if it is another topology. */
export function otherThan(id: string, applied: AppliedTopology | null): AppliedTopology | null {
  return applied && applied.topologyId !== id ? applied : null;
}

/** Keeps what went wrong, with the document, so that a teardown finds what there is by then. */
export async function record(
  store: TopologyRows,
  { topologyId, text, signal }: { topologyId: string; text?: string; signal: AbortSignal },
  error: unknown,
): Promise<Refusal> {
  const refusal = failure(error);
  try {
    await patiently(() => {
      // While a topology that is to be superseded is still there, it is its teardown that failed.
      const other = otherThan(topologyId, store.current());
      if (other) store.recordError(other.topologyId, refusal.message);
      else store.recordError(topologyId, refusal.message, text);
    }, signal);
    return refusal;
  } catch (cause) {
    const message = `${refusal.message}; and this could not be recorded: ${messageOf(cause)}`;
    return new Refusal("failed", message, { cause });
  }
}

/** What was thrown, as the refusal that it is for whoever has asked. */
export function failure(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  return new Refusal("failed", messageOf(error), { cause: error });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
