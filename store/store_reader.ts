import { type AppliedTopology, TopologyStore } from "./topology_store.ts";

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

  /** As `TopologyStore.current()`, of the file that is at the path now. Changes nothing in it. */
  current(): AppliedTopology | null {
    const file = identity(this.#path);
    if (file !== this.#file) this.close();
    this.#file = file;
    try {
      if (this.#store) return this.#store.current();
    } catch {
      // What a crash of a writer left behind is seen and mended by opening the file anew.
    }
    this.close();
    this.#store = TopologyStore.open(this.#path, { readOnly: true });
    return this.#store.current();
  }

  /** Closes the file; the next reading opens it again. */
  close(): void {
    this.#store?.close();
    this.#store = null;
  }
}

/** Differs when another file has taken the place of one. */
function identity(path: string): string {
  try {
    const { dev, ino } = Deno.statSync(path);
    return `${dev} ${ino}`;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "absent";
    throw error;
  }
}
