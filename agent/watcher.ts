import { listenToEvents } from "../docker/events.ts";
import { findSocket } from "../docker/observe.ts";
import { identityOf } from "../host/files.ts";
import type { Log } from "../host/log.ts";
import { fileVersion } from "../store/file.ts";
import { Wakeup } from "./schedule.ts";
import type { HostOptions, HostSnapshot } from "./snapshot.ts";

/** How often the time stamp of the store is read, in milliseconds. */
const storePauseMs = 2_000;
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

/** Notices changes of the host: by the engine's events, and by the time stamp of the store. */
export class HostWatcher {
  readonly #options: HostWatcherOptions;
  readonly #retry = new Wakeup();
  #stream: EventStream | null = null;
  #failures = 0;
  #missed = 0;
  #problem = "";

  constructor(options: HostWatcherOptions) {
    this.#options = options;
  }

  /** Watches until `signal` is aborted. Never throws. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#watchEngine(signal), this.#watchStore(signal)]);
  }

  /**
   * Opens no file, as the runtime's `Deno.watchFs` does: closing one would release every lock that
   * SQLite has on it in this process, and another could undo a change in the middle of its commit.
   */
  async #watchStore(signal: AbortSignal): Promise<void> {
    const { storePath, onChange } = this.#options;
    const pause = new Wakeup();
    for (let version = fileVersion(storePath); await pause.wait(storePauseMs, signal);) {
      const next = fileVersion(storePath);
      if (next !== version) onChange();
      version = next;
    }
  }

  /** Listens again after each end of a stream. */
  async #watchEngine(signal: AbortSignal): Promise<void> {
    const { onChange, random = Math.random } = this.#options;
    while (!signal.aborted) {
      const startedAt = performance.now();
      if (await this.#listen(signal) === "lost") onChange();
      this.#failures = performance.now() - startedAt > goodAfterMs ? 1 : this.#failures + 1;
      await this.#retry.wait(listenDelayMs(this.#failures, random()), signal);
      this.#retry.take("send");
    }
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
  }

  #noteMissed(): void {
    this.#retry.requestSend();
    if (++this.#missed !== missedSnapshots) return;
    const text = `${this.#problem}; changes are reported at the interval`;
    this.#options.log("warn", text, { subject: "events" });
  }

  /** Listens once. A stream is lost when it was open and the agent did not end it. */
  async #listen(signal: AbortSignal): Promise<"lost" | "ended"> {
    const { sockets, networkPrefixes, containerPrefixes, log, onChange } = this.#options;
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
      const options = { socket, networkPrefixes, containerPrefixes, log, onOpen, onChange };
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
