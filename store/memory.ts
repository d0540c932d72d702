import type { AppliedTopology } from "./row.ts";
import { TopologyStore } from "./topology_store.ts";

/** What could not be written to a store's file, for as long as the process lives. */
export class StoreMemory {
  #kept: {
    readonly rows: TopologyStore;
    /** What the file held then. */
    readonly stored: AppliedTopology | null;
    problem: string;
  } | null = null;

  /** Why the file could not be written, or null. */
  get problem(): string | null {
    return this.#kept && `${this.#kept.problem}; what is applied is kept in memory only`;
  }

  /** Begins to keep what counts in place of the file, which holds `stored`. */
  begin(stored: AppliedTopology | null, problem: string): TopologyStore {
    if (this.#kept) this.#kept.problem = problem;
    else this.#kept = { rows: TopologyStore.inMemory(stored), stored, problem };
    return this.#kept.rows;
  }

  /** What is kept while the file holds `stored`: what another process has written there counts. */
  over(stored: AppliedTopology | null): TopologyStore | null {
    if (this.#kept && !isSame(stored, this.#kept.stored)) this.forget();
    return this.#kept?.rows ?? null;
  }

  /** What counts, given what the file holds. */
  recall(stored: AppliedTopology | null): AppliedTopology | null {
    const rows = this.over(stored);
    return rows ? rows.current() : stored;
  }

  /** Writes what is kept. Throws what SQLite says when it still cannot be written. */
  settle(file: TopologyStore): void {
    const rows = this.#kept && this.over(file.current());
    if (!rows) return;
    file.replace(rows.current());
    this.forget();
  }

  /** Keeps nothing any more. */
  forget(): void {
    this.#kept?.rows.close();
    this.#kept = null;
  }
}

function isSame(one: AppliedTopology | null, other: AppliedTopology | null): boolean {
  return one?.topologyId === other?.topologyId && one?.versionHash === other?.versionHash &&
    one?.appliedAt === other?.appliedAt && one?.lastError === other?.lastError;
}
