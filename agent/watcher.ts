import { listenToEvents } from "../docker/events.ts";
import { findSocket } from "../docker/observe.ts";
import { identityOf } from "../host/files.ts";
import type { Log } from "../host/log.ts";
import { createPrivateFile } from "../host/new_file.ts";
import { explain, fileVersion, lockPathOf } from "../store/file.ts";
import { Wakeup } from "./schedule.ts";
import type { HostOptions, HostSnapshot } from "./snapshot.ts";

/**
 * Notices that another process has written to the store, by the lock that writers hold. A write
 * without the lock is found by the next heartbeat.
 *
 * Neither the store nor its folder is watched: the runtime opens and closes the files that it reports,
 * and closing a file releases every lock that SQLite has on it in this process. Another process could
 * then undo a change in the middle of its commit.
 */
export class StoreWatcher {
  readonly #store: string;
  readonly #lock: string;
  readonly #onChange: () => void;
  readonly #log: Log;
  #problem = "";
  #watcher: Deno.FsWatcher | null = null;
  /** Identifies the lock file that is watched. */
  #watched = "";
  #storeVersion = "";
  #isClosed = false;

  constructor(storePath: string, { log, onChange }: { log: Log; onChange: () => void }) {
    this.#store = storePath;
    this.#lock = lockPathOf(storePath);
    this.#onChange = onChange;
    this.#log = log;
  }

  /** Starts to watch, unless it already does; called with each heartbeat. */
  renew(): void {
    if (this.#isClosed) return;
    if (this.#watcher) {
      // The folder was replaced. The runtime cannot watch the same path again at once.
      if (identityOf(this.#lock) !== this.#watched) this.#stop();
      return;
    }
    try {
      createIfAbsent(this.#lock);
      // The runtime would open a pipe, which blocks, or follow a link to the store.
      if (!Deno.lstatSync(this.#lock).isFile) throw new Error("it is not a regular file");
      this.#watcher = Deno.watchFs(this.#lock, { recursive: false });
      this.#watched = identityOf(this.#lock);
      this.#storeVersion = fileVersion(this.#store);
      this.#follow(this.#watcher);
      this.#problem = "";
      this.#onChange();
    } catch (error) {
      // The next heartbeat tries again.
      if (!(error instanceof Deno.errors.NotFound)) this.#logOnce(watchProblem(error as Error));
    }
  }

  /** Stops watching, for good. */
  close(): void {
    this.#isClosed = true;
    this.#stop();
  }

  async #follow(watcher: Deno.FsWatcher): Promise<void> {
    try {
      // A writer writes its name to the lock, and removes it when all is written.
      for await (const { kind } of watcher) {
        if (kind === "remove") this.#stop();
        if (kind !== "access") this.#compareStore();
      }
    } catch {
      if (this.#watcher === watcher) this.#stop();
    }
  }

  /** Ignores processes that held the lock and changed nothing. */
  #compareStore(): void {
    const version = fileVersion(this.#store);
    if (version === this.#storeVersion) return;
    this.#storeVersion = version;
    this.#onChange();
  }

  #logOnce(problem: string): void {
    if (problem === this.#problem) return;
    this.#problem = problem;
    const consequence = "what others write to the store is reported at the interval";
    const text = `Cannot watch ${this.#lock}: ${problem}; ${consequence}`;
    this.#log("warn", text, { subject: "store" });
  }

  #stop(): void {
    this.#watcher?.close();
    this.#watcher = null;
  }
}

function watchProblem({ message }: Error): string {
  // The runtime adds the path, which the caller adds, too.
  const problem = message.replace(/ \(os error \d+\)(?: about .*)?$/s, "");
  // Deno 2.9 throws a plain Error when inotify has no watches left.
  const isLimit = /too many|no space/i.test(problem);
  return isLimit ? `${problem}; see sysctl fs.inotify` : explain(problem);
}

/** Creates the lock, so that the first write to a new store is noticed. */
function createIfAbsent(path: string): void {
  try {
    createPrivateFile(path);
  } catch {
    // The folder cannot be written.
  }
}

const minListenDelayMs = 1_000;
const maxListenDelayMs = 60_000;
/** After a stream that lasted so long, the backoff starts again. */
const goodAfterMs = 60_000;
/** After so many snapshots in a row without a stream, while the engine answers, this is logged. */
const missedSnapshots = 3;

/** Returns the delay before listening again, after the n-th failure in a row to listen. */
export function listenDelayMs(failures: number, random: number): number {
  const bound = Math.min(maxListenDelayMs, minListenDelayMs * 2 ** Math.min(failures - 1, 16));
  return bound * (0.5 + 0.5 * random);
}

/** What to watch, and what is called for changes. */
interface HostWatcherOptions extends HostOptions {
  readonly log: Log;
  /** Called when the host may have changed, and whenever a stream of events begins or ends. */
  readonly onChange: () => void;
  /** A number in [0, 1). */
  readonly random?: () => number;
}

interface EventStream {
  /** Identifies the engine's socket. */
  place: string;
  /** Ends the stream. */
  readonly limit: AbortController;
  isOpen: boolean;
}

/** Notices changes of the host: by the engine's events, and by the lock of the store. */
export class HostWatcher {
  readonly #options: HostWatcherOptions;
  readonly #store: StoreWatcher;
  readonly #retry = new Wakeup();
  #stream: EventStream | null = null;
  #failures = 0;
  #missed = 0;
  #problem = "";

  constructor(options: HostWatcherOptions) {
    const { storePath, log, onChange } = options;
    this.#options = options;
    this.#store = new StoreWatcher(storePath, { log, onChange });
  }

  /** Watches until `signal` is aborted; listens again after each end of a stream. Never throws. */
  async run(signal: AbortSignal): Promise<void> {
    const { onChange, random = Math.random } = this.#options;
    this.#store.renew();
    while (!signal.aborted) {
      const startedAt = performance.now();
      if (await this.#listen(signal) === "lost") onChange();
      this.#failures = performance.now() - startedAt > goodAfterMs ? 1 : this.#failures + 1;
      await this.#retry.wait(listenDelayMs(this.#failures, random()), signal);
      this.#retry.takeSendRequest();
    }
    this.#store.close();
  }

  /** Compares what is watched with a snapshot of a heartbeat, or of an interval. */
  note({ socket, engine }: HostSnapshot): void {
    const stream = this.#stream;
    if (!engine || socket === null) {
      // The engine may hang. A new connection opens as soon as it works again.
      if (stream?.isOpen) stream.limit.abort(new Error("the engine did not answer"));
    } else if (!stream) {
      this.#noteMissed();
    } else if (stream.place !== placeOf(socket)) {
      stream.limit.abort(new Error("there is another engine"));
    } else if (stream.isOpen) {
      if (this.#missed >= missedSnapshots) {
        this.#options.log("info", "Docker reports changes again");
      }
      this.#missed = 0;
    }
    this.#store.renew();
  }

  #noteMissed(): void {
    this.#retry.requestSend();
    if (++this.#missed !== missedSnapshots) return;
    const text = `${this.#problem}; changes are reported at the interval`;
    this.#options.log("warn", text, { subject: "events" });
  }

  /** Listens once. A stream is lost when it was open and the agent did not end it. */
  async #listen(signal: AbortSignal): Promise<"lost" | "ended"> {
    const { sockets, networkPrefixes, containerPrefixes, onChange } = this.#options;
    const limit = new AbortController();
    const onAbort = () => limit.abort(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    const stream: EventStream = { place: "", limit, isOpen: false };
    const onOpen = () => {
      stream.isOpen = true;
      onChange();
    };
    try {
      const socket = findSocket(sockets);
      stream.place = placeOf(socket);
      this.#stream = stream;
      const options = { socket, networkPrefixes, containerPrefixes, onOpen, onChange };
      await listenToEvents(limit.signal, options);
    } catch (error) {
      this.#problem = (error as Error).message;
    }
    this.#stream = null;
    signal.removeEventListener("abort", onAbort);
    return stream.isOpen && !limit.signal.aborted ? "lost" : "ended";
  }
}

/** Identifies a socket; differs when another one has taken its place. */
function placeOf(socket: string): string {
  return `${socket} ${identityOf(socket)}`;
}
