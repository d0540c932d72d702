import { identityOf, type Log } from "../host/mod.ts";

/**
 * Tells when somebody has written to the store's file, be it another process. What the kernel does
 * not tell, as of a folder that is not there yet, is found by the beats.
 */
export class StoreWatch {
  readonly #folder: string;
  readonly #file: string;
  readonly #onChange: () => void;
  readonly #log: Log;
  #problem = "";
  #watcher: Deno.FsWatcher | null = null;
  #watched = "";
  #isClosed = false;

  constructor(storePath: string, { log, onChange }: { log: Log; onChange: () => void }) {
    this.#folder = storePath.replace(/\/?[^/]*$/, "") || "/";
    this.#file = lastName(storePath);
    this.#onChange = onChange;
    this.#log = log;
  }

  /** Begins to watch where it does not; to be called with each beat. */
  renew(): void {
    const folder = identityOf(this.#folder);
    if (this.#isClosed) return;
    if (this.#watcher) {
      // Another folder has taken its place. To watch the same path again takes the runtime a moment:
      // the next beat does it.
      if (folder !== this.#watched) this.#stop();
      return;
    }
    try {
      this.#watcher = Deno.watchFs(this.#folder, { recursive: false });
      this.#watched = folder;
      this.#follow(this.#watcher);
      this.#problem = "";
      this.#onChange();
    } catch (error) {
      // What is not there yet is looked for with the next beat.
      if (!(error instanceof Deno.errors.NotFound)) this.#tell((error as Error).message);
    }
  }

  /** Ends it. */
  close(): void {
    this.#isClosed = true;
    this.#stop();
  }

  async #follow(watcher: Deno.FsWatcher): Promise<void> {
    try {
      for await (const { kind, paths } of watcher) {
        const names = paths.map(lastName);
        const isGone = kind === "remove" && names.includes(lastName(this.#folder));
        // A new folder may get the number of the one before.
        if (isGone) this.#stop();
        // Each reading of the store is an access.
        if (isGone || (kind !== "access" && names.some((it) => this.#isOurs(it)))) this.#onChange();
      }
    } catch {
      if (this.#watcher === watcher) this.#stop();
    }
  }

  /** The file, or one that was set aside: not the journal and the locks beside it. */
  #isOurs(name: string): boolean {
    return name === this.#file || name.startsWith(`${this.#file}.`);
  }

  /** Says once why it cannot watch. */
  #tell(problem: string): void {
    if (problem === this.#problem) return;
    this.#problem = problem;
    const advice = /too many|no space/i.test(problem) ? "see sysctl fs.inotify; " : "";
    const consequence = "what others write there is told at the interval";
    const text = `Cannot watch ${this.#folder}: ${problem}; ${advice}${consequence}`;
    this.#log("warn", text, { subject: "store" });
  }

  #stop(): void {
    this.#watcher?.close();
    this.#watcher = null;
  }
}

function lastName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
