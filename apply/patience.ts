import { isLocked } from "../store/mod.ts";

const limitMs = 5_000;
/** Whoever is asked to stop does not wait that long. */
const limitWhenStoppedMs = 500;
const pauseMs = 50;

/**
 * Does something with the store, again for up to 5 s while another process holds it locked. SQLite's
 * own waiting would keep the whole process from answering and from stopping.
 */
export async function patiently<T>(work: () => T, signal: AbortSignal): Promise<T> {
  for (const startedAt = performance.now();;) {
    try {
      return work();
    } catch (error) {
      const elapsedMs = performance.now() - startedAt;
      if (!isLocked(error) || elapsedMs > (signal.aborted ? limitWhenStoppedMs : limitMs)) {
        throw error;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}
