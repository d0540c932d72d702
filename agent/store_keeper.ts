import {
  type AppliedTopology,
  explain,
  findFolderProblem,
  findWriteProblem,
  isDamage,
  listSetAside,
  type StoreMemory,
  StoreReader,
} from "../store/mod.ts";

/** What the store holds, or why it cannot be read; `detail` is what else there is to say of it. */
export type StoreStock =
  | { readonly state: "ok"; readonly applied: AppliedTopology; readonly detail?: string }
  | { readonly state: "idle"; readonly detail?: string }
  | {
    readonly state: "unreadable";
    readonly detail: string;
    /** It will be set aside by whoever may write. */
    readonly isDamaged?: boolean;
  };

/** How the store is read. */
export interface ReadOptions {
  /** Whether to try first to write what could not be written before. */
  readonly mends?: boolean;
}

/**
 * Reads the store again and again. With a memory it also mends what it can: it sets a damaged file
 * aside, and writes what could not be written before.
 */
export class StoreKeeper {
  readonly #path: string;
  readonly #memory: StoreMemory | null;
  readonly #reader: StoreReader;

  constructor(path: string, memory: StoreMemory | null) {
    this.#path = path;
    this.#memory = memory;
    this.#reader = new StoreReader(path);
  }

  /** What the store holds now. Never throws. */
  async read(signal: AbortSignal, { mends = true }: ReadOptions = {}): Promise<StoreStock> {
    try {
      const stored = await this.#current(signal, mends);
      const applied = this.#memory ? this.#memory.recall(stored) : stored;
      const details = [
        this.#memory?.problem ?? findWriteProblem(this.#path) ?? findFolderProblem(this.#path),
        setAsideText(listSetAside(this.#path)),
      ].filter((it) => it !== null);
      const more = details.length > 0 ? { detail: details.join("; ") } : {};
      return applied ? { state: "ok", applied, ...more } : { state: "idle", ...more };
    } catch (error) {
      const detail = `Cannot read the store ${this.#path}: ${explain(error)}`;
      return { state: "unreadable", detail, isDamaged: isDamage(error) };
    }
  }

  /** Closes the file. */
  close(): void {
    this.#reader.close();
  }

  async #current(signal: AbortSignal, mends: boolean): Promise<AppliedTopology | null> {
    const memory = this.#memory;
    if (!memory) return await this.#reader.current(signal);
    if (mends && memory.problem !== null) await mend(this.#path, memory);
    try {
      return await this.#reader.current(signal);
    } catch (error) {
      if (!isDamage(error)) throw error;
    }
    await mend(this.#path, memory);
    try {
      return await this.#reader.current(signal);
    } catch (error) {
      // What is damaged, and cannot be set aside, is as good as empty.
      if (isDamage(error) && memory.problem !== null) return null;
      throw error;
    }
  }
}

/** Reading seldom has to mend anything, so that is loaded when it has. */
async function mend(path: string, memory: StoreMemory): Promise<void> {
  const { mendStore } = await import("./store_mending.ts");
  await mendStore(path, memory);
}

function setAsideText([newest, ...older]: string[]): string | null {
  if (newest === undefined) return null;
  const files = older.length === 0 ? newest : `${newest} (and ${older.length} earlier)`;
  const them = older.length === 0 ? "that file when it has" : "those files when they have";
  return `the store was damaged and is set aside as ${files}; remove ${them} been looked at`;
}
