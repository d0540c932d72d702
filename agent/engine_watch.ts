import { listenToEvents } from "../docker/events.ts";
import { findSocket } from "../docker/mod.ts";
import { identityOf, type Log } from "../host/mod.ts";
import { Bell } from "./bell.ts";
import { listenDelayMs } from "./schedule.ts";
import type { Stock, StockOptions } from "./stock.ts";

/** A stream that has lived so long was a good one: the backoff starts anew, in milliseconds. */
const goodAfterMs = 60_000;
/** So many beats in a row without a stream, while the engine answers, are worth a line. */
const missedBeats = 3;

/** Which engine to listen to, and who is told. */
export interface EngineWatchOptions
  extends Pick<StockOptions, "sockets" | "networkPrefixes" | "containerPrefixes"> {
  readonly log: Log;
  /** What is ours may have changed: after an event, and whenever a stream begins or ends. */
  readonly onChange: () => void;
  /** A number in [0, 1). */
  readonly random?: () => number;
}

/** Listens to the engine for as long as there is one, and tries again when there is none. */
export class EngineWatch {
  readonly #options: EngineWatchOptions;
  readonly #retry = new Bell();
  #stream: { readonly place: string; readonly limit: AbortController; isOpen: boolean } | null =
    null;
  #failures = 0;
  #missed = 0;
  #problem = "";

  constructor(options: EngineWatchOptions) {
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
      this.#retry.take();
    }
  }

  /** Takes note of what a beat has seen: whether the engine answers, and where it is. */
  note({ socket, engine }: Stock): void {
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
      if (this.#missed >= missedBeats) log("info", "Docker tells of changes again");
      this.#missed = 0;
    }
    if (stream) return;
    this.#retry.ring();
    if (++this.#missed === missedBeats) {
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
