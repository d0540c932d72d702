import { listenToEvents } from "../docker/events.ts";
import { findSocket } from "../docker/observe.ts";
import { identityOf } from "../host/files.ts";
import type { Log } from "../host/log.ts";
import { explain, fileVersion, lockPathOf } from "../store/file.ts";
import { listenDelayMs, Wakeup } from "./schedule.ts";
import type { HostSnapshot, SnapshotOptions } from "./snapshot.ts";

/**
 * Tells when somebody has written to the store, be it another process, by the lock that writers hold.
 * What is written without it is found by the beats.
 *
 * The store itself must not be watched, nor its folder: the runtime opens and closes what it tells of,
 * and closing a file anywhere in a process gives back every lock that SQLite has on it there. Another
 * process could then undo a change in the middle of its commit.
 */
export class StoreWatcher {
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
      this.#known = fileVersion(this.#store);
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
    const version = fileVersion(this.#store);
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

/** A stream that has lived so long was a good one: the backoff starts anew, in milliseconds. */
const goodAfterMs = 60_000;
/** So many beats in a row without a stream, while the engine answers, are worth a line. */
const missedHeartbeats = 3;

/** Which engine to listen to, and who is told. */
interface EngineEventListenerOptions
  extends Pick<SnapshotOptions, "sockets" | "networkPrefixes" | "containerPrefixes"> {
  readonly log: Log;
  /** What is ours may have changed: after an event, and whenever a stream begins or ends. */
  readonly onChange: () => void;
  /** A number in [0, 1). */
  readonly random?: () => number;
}

/** Listens to the engine for as long as there is one, and tries again when there is none. */
class EngineEventListener {
  readonly #options: EngineEventListenerOptions;
  readonly #retry = new Wakeup();
  #stream: { readonly place: string; readonly limit: AbortController; isOpen: boolean } | null =
    null;
  #failures = 0;
  #missed = 0;
  #problem = "";

  constructor(options: EngineEventListenerOptions) {
    this.#options = options;
  }

  /** Listens until `signal` is aborted. Never throws. */
  async run(signal: AbortSignal): Promise<void> {
    const { onChange, random = Math.random } = this.#options;
    while (!signal.aborted) {
      const startedAt = performance.now();
      if (await this.#listen(signal) === "lost") onChange();
      this.#failures = performance.now() - startedAt > goodAfterMs ? 1 : this.#failures + 1;
      await this.#retry.wait(listenDelayMs(this.#failures, random()), signal);
      this.#retry.takeSendRequest();
    }
  }

  /** Takes note of what a beat has seen: whether the engine answers, and where it is. */
  note({ socket, engine }: HostSnapshot): void {
    const stream = this.#stream;
    if (!engine || socket === null) {
      // It may hang. Of a new connection it is heard as soon as it goes on.
      if (stream?.isOpen) stream.limit.abort(new Error("the engine did not answer a beat"));
      return;
    }
    const { log } = this.#options;
    if (stream && stream.place !== placeOf(socket)) {
      stream.limit.abort(new Error("the engine is another one now"));
    } else if (stream?.isOpen) {
      if (this.#missed >= missedHeartbeats) log("info", "Docker tells of changes again");
      this.#missed = 0;
    }
    if (stream) return;
    this.#retry.requestSend();
    if (++this.#missed === missedHeartbeats) {
      const consequence = "changes are told at the interval";
      log("warn", `${this.#problem}; ${consequence}`, { subject: "events" });
    }
  }

  /** Listens once. A stream is lost when it was open, and nobody here has ended it. */
  async #listen(signal: AbortSignal): Promise<"lost" | "ended"> {
    const limit = new AbortController();
    const onAbort = () => limit.abort(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    try {
      const socket = findSocket(this.#options.sockets);
      const stream = { place: placeOf(socket), limit, isOpen: false };
      this.#stream = stream;
      await listenToEvents(limit.signal, {
        ...this.#options,
        socket,
        onOpen: () => {
          stream.isOpen = true;
          this.#options.onChange();
        },
      });
    } catch (error) {
      this.#problem = (error as Error).message;
    }
    const wasOpen = this.#stream?.isOpen ?? false;
    this.#stream = null;
    signal.removeEventListener("abort", onAbort);
    return wasOpen && !limit.signal.aborted ? "lost" : "ended";
  }
}

/** Differs when another socket has taken the place of one. */
function placeOf(socket: string): string {
  return `${socket} ${identityOf(socket)}`;
}

/** What makes the loop look between two beats; a face of its own, as a check has no use for it. */

/** What to watch, and who is told. */
interface HostWatcherOptions extends EngineEventListenerOptions {
  /** The SQLite file of the store. */
  readonly storePath: string;
}

/** Tells when the host may have changed: by the engine's events, and by the store's file. */
export class HostWatcher {
  readonly #engine: EngineEventListener;
  readonly #store: StoreWatcher;

  constructor(options: HostWatcherOptions) {
    this.#engine = new EngineEventListener(options);
    this.#store = new StoreWatcher(options.storePath, options);
  }

  /** Watches until `signal` is aborted. Never throws. */
  async run(signal: AbortSignal): Promise<void> {
    this.#store.renew();
    await this.#engine.run(signal);
    this.#store.close();
  }

  /** Takes note of what a beat has seen. */
  note(snapshot: HostSnapshot): void {
    this.#engine.note(snapshot);
    this.#store.renew();
  }
}
