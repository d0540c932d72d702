import type { LogPosition } from "../../logs/container_log.ts";
import type { OnSafe } from "../../logs/frames.ts";
import type { LineSink } from "../../logs/sender.ts";

const decoder = new TextDecoder();

/** Keeps the lines that it gets; it can be full. */
export class TestSink implements LineSink {
  readonly lines: string[] = [];
  bytes = 0;
  /** Whether lines are safe at once; otherwise none is. */
  isSafe = true;
  /** How many more lines there is room for. */
  room = Infinity;
  /** How long each line takes, in milliseconds. */
  workMs = 0;
  waitingSince: number | null = null;
  #onSafe: OnSafe = () => {};
  #full: PromiseWithResolvers<void> | null = null;

  send(line: Uint8Array, container: string, position: LogPosition): Promise<void> | null {
    this.lines.push(decoder.decode(line));
    for (const endsAt = performance.now() + this.workMs; performance.now() < endsAt;);
    this.bytes += line.length;
    if (this.isSafe) this.#onSafe(container, position);
    if (--this.room > 0) return null;
    this.#full ??= Promise.withResolvers();
    return this.#full.promise;
  }

  /** Makes room for so many lines. */
  drain(room = Infinity): void {
    this.room = room;
    this.#full?.resolve();
    this.#full = null;
  }

  async run(signal: AbortSignal, onSafe: OnSafe): Promise<void> {
    this.#onSafe = onSafe;
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    this.drain();
  }

  get status(): LineSink["status"] {
    const { waitingSince } = this;
    return { sent: this.lines.length, heldBack: 0, cut: 0, waitingSince, problem: null };
  }
}
