import { identityOf, type Log } from "../host/mod.ts";
import { explain, lockPathOf, versionOf } from "../store/mod.ts";

/**
 * Tells when somebody has written to the store, be it another process, by the lock that writers hold.
 * What is written without it is found by the beats.
 *
 * The store itself must not be watched, nor its folder: the runtime opens and closes what it tells of,
 * and closing a file anywhere in a process gives back every lock that SQLite has on it there. Another
 * process could then undo a change in the middle of its commit.
 */
export class StoreWatch {
  readonly #store: string;
  readonly #lock: string;
  readonly #onChange: () => void;
  readonly #log: Log;
  #problem = "";
  #watcher: Deno.FsWatcher | null = null;
  #watched = "";
  #known = "";
  #isClosed = false;

  constructor(storePath: string, { log, onChange }: { log: Log; onChange: () => void }) {
    this.#store = storePath;
    this.#lock = lockPathOf(storePath);
    this.#onChange = onChange;
    this.#log = log;
  }

  /** Begins to watch where it does not; to be called with each beat. */
  renew(): void {
    if (this.#isClosed) return;
    if (this.#watcher) {
      // Another folder has taken its place. To watch the same path again takes the runtime a moment:
      // the next beat does it.
      if (identityOf(this.#lock) !== this.#watched) this.#stop();
      return;
    }
    try {
      createIfAbsent(this.#lock);
      // The runtime would open that, too: a pipe keeps it for ever, and a link may lead to the store.
      if (!Deno.lstatSync(this.#lock).isFile) throw new Error("it is not a regular file");
      this.#watcher = Deno.watchFs(this.#lock, { recursive: false });
      this.#watched = identityOf(this.#lock);
      this.#known = versionOf(this.#store);
      this.#follow(this.#watcher);
      this.#problem = "";
      this.#onChange();
    } catch (error) {
      // What is not there yet is looked for with the next beat.
      if (!(error instanceof Deno.errors.NotFound)) this.#tell(problemOf(error as Error));
    }
  }

  /** Ends it. */
  close(): void {
    this.#isClosed = true;
    this.#stop();
  }

  async #follow(watcher: Deno.FsWatcher): Promise<void> {
    try {
      // A writer's name is written to the lock, and taken out again when all is written.
      for await (const { kind } of watcher) {
        if (kind === "remove") this.#stop();
        if (kind !== "access") this.#compare();
      }
    } catch {
      if (this.#watcher === watcher) this.#stop();
    }
  }

  /** Who held the lock need not have changed anything. */
  #compare(): void {
    const version = versionOf(this.#store);
    if (version === this.#known) return;
    this.#known = version;
    this.#onChange();
  }

  /** Says once why it cannot watch. */
  #tell(problem: string): void {
    if (problem === this.#problem) return;
    this.#problem = problem;
    const consequence = "what others write to the store is told at the interval";
    const text = `Cannot watch ${this.#lock}: ${problem}; ${consequence}`;
    this.#log("warn", text, { subject: "store" });
  }

  #stop(): void {
    this.#watcher?.close();
    this.#watcher = null;
  }
}

/** In words, and what can be done about it. */
function problemOf({ message }: Error): string {
  // The runtime adds the path, which is named anyway.
  const problem = message.replace(/ \(os error \d+\)(?: about .*)?$/s, "");
  return /too many|no space/i.test(problem)
    ? `${problem}; see sysctl fs.inotify`
    : explain(problem);
}

/** So that the first who ever writes to the store is seen as well. */
function createIfAbsent(path: string): void {
  try {
    // What root leaves in another user's folder would keep that user from every apply.
    const folder = Deno.statSync(path.replace(/[^/]*$/, ""));
    if (Deno.uid() === 0 && folder.uid !== 0) return;
    Deno.openSync(path, { write: true, createNew: true, mode: 0o600 }).close();
  } catch {
    // Whoever cannot write there has nobody beside him who can, or it is there already.
  }
}
