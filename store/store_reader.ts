import { isHalfWritten, isLocked, look, versionOf } from "./file.ts";
import type { AppliedTopology } from "./row.ts";
import { TopologyStore } from "./topology_store.ts";

/** How long to wait for a lock held by another process, in milliseconds, and between two tries. */
const lockTimeoutMs = 5_000;
const lockPauseMs = 50;

/**
 * Reads a store again and again while others may write, replace or remove its file. The file stays
 * open in between, as each opening leaves memory behind until the next garbage collection.
 */
export class StoreReader {
  readonly #path: string;
  #store: TopologyStore | null = null;
  #file = "";

  constructor(path: string) {
    this.#path = path;
  }

  /**
   * As `TopologyStore.current()`, of the file that is at the path now. Changes nothing in it. Waits up
   * to 5 s for another process that holds it locked, or until `signal` is aborted.
   */
  async current(signal: AbortSignal): Promise<AppliedTopology | null> {
    let tries = 0;
    for (const startedAt = performance.now();;) {
      try {
        return this.#read();
      } catch (error) {
        if (isHalfWritten(error) && tries++ === 0) continue;
        const isPatient = !signal.aborted && performance.now() - startedAt < lockTimeoutMs;
        if (!isLocked(error) || !isPatient) throw error;
      }
      // SQLite's own waiting would keep the whole process from stopping.
      await new Promise((resolve) => setTimeout(resolve, lockPauseMs));
    }
  }

  /** Closes the file; the next reading opens it again. */
  close(): void {
    this.#store?.close();
    this.#store = null;
  }

  #read(): AppliedTopology | null {
    const file = versionOf(this.#path);
    if (file !== this.#file) this.close();
    this.#file = file;
    try {
      if (this.#store) return this.#readAndKeep(this.#store);
    } catch (error) {
      if (isLocked(error)) throw error;
      // What a crash of a writer left behind is seen and mended by opening the file anew.
    }
    this.close();
    this.#store = TopologyStore.open(this.#path, { readOnly: true, busyTimeoutMs: 0 });
    return this.#readAndKeep(this.#store);
  }

  #readAndKeep(store: TopologyStore): AppliedTopology | null {
    const applied = store.current();
    // Whoever has a file in WAL mode open keeps it from leaving that mode, which each writer wants.
    if (look(`${this.#path}-wal`)) this.close();
    return applied;
  }
}
