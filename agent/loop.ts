import type { Log } from "../host/mod.ts";
import type { Agent, Beat } from "./agent.ts";
import { Bell } from "./bell.ts";
import { wantsBackoff } from "./delivery.ts";
import { Diary } from "./diary.ts";
import { firstDelayMs, nextDelayMs } from "./schedule.ts";

/** What the loop needs besides the agent. */
export interface LoopOptions {
  readonly intervalMs: number;
  readonly log: Log;
  /** Takes each beat. */
  readonly onBeat?: (beat: Beat) => void;
  /** Told when the loop begins to do something, and when it has ended: what hangs is noticed there. */
  readonly onWork?: (phase: "begin" | "end") => void;
  /** A number in [0, 1). */
  readonly random?: () => number;
  /** How often to look at the host between two beats, in milliseconds. */
  readonly lookIntervalMs?: number;
  /** Calls for a beat at once. */
  readonly bell?: Bell;
  /** Whether the agent itself is changing the host: then what is half done is no news. */
  readonly isBusy?: () => boolean;
  /** Waits so long, or until the bell rings; answers false when the signal cut the wait short. */
  readonly wait?: (ms: number, signal: AbortSignal, bell: Bell) => Promise<boolean>;
}

/** Beats until `signal` is aborted. Nothing that a beat meets ends the loop. */
export async function runLoop(
  agent: Agent,
  signal: AbortSignal,
  options: LoopOptions,
): Promise<void> {
  const { intervalMs, log, onBeat = () => {}, random = Math.random } = options;
  const { lookIntervalMs = 5_000, bell = new Bell(), isBusy = () => false } = options;
  const { onWork = () => {} } = options;
  const work = async <T>(task: () => Promise<T>): Promise<T> => {
    onWork("begin");
    try {
      return await task();
    } finally {
      onWork("end");
    }
  };
  const { wait = (ms, signal, bell) => bell.wait(ms, signal) } = options;
  const diary = new Diary(log);
  let failures = 0;
  let delayMs = firstDelayMs(intervalMs, random());
  let isWatching = false;
  let retryAfterMs: number | null = null;
  let lastExtraAt = -Infinity;
  /** Ends when there may be one more beat out of turn. */
  const mayBeExtra = async () => {
    const tooEarlyMs = lastExtraAt + lookIntervalMs - performance.now();
    if (tooEarlyMs > 0) await wait(tooEarlyMs, signal, new Bell());
    lastExtraAt = performance.now();
    // Whatever has rung meanwhile, this beat tells it.
    bell.take();
    return !signal.aborted;
  };
  /** Ends when the next beat is due, or there is news for it; false when the loop is to stop. */
  const isDue = async () => {
    for (let leftMs = delayMs;;) {
      const waitMs = isWatching ? Math.min(leftMs, lookIntervalMs) : leftMs;
      const startedAt = performance.now();
      if (!await wait(waitMs, signal, bell)) return false;
      if (bell.take()) {
        // A master that asked for a pause gets it, whatever there is to say.
        if (retryAfterMs === null) return await mayBeExtra();
        leftMs = Math.max(0, leftMs - (performance.now() - startedAt));
        continue;
      }
      leftMs -= waitMs;
      if (leftMs <= 0) return true;
      const lookedAt = performance.now();
      if (!isBusy() && await work(() => agent.hasNews(signal))) return await mayBeExtra();
      leftMs = Math.max(0, leftMs - (performance.now() - lookedAt));
    }
  };
  while (await isDue()) {
    const startedAt = performance.now();
    retryAfterMs = null;
    try {
      const beat = await work(() => agent.beat(signal));
      // A beat that was cut short by the stop says nothing about the host.
      if (signal.aborted) break;
      diary.note(beat, isBusy());
      onBeat(beat);
      failures = wantsBackoff(beat.delivery) ? failures + 1 : 0;
      if ("retryAfterMs" in beat.delivery) retryAfterMs = beat.delivery.retryAfterMs;
    } catch (error) {
      // Nothing is known to lead here; should something, the host must still be heard of.
      log("error", `the beat failed: ${error instanceof Error ? error.message : error}`);
      failures++;
    }
    delayMs = nextDelayMs({ intervalMs, failures, retryAfterMs }, random());
    // The pace is from beat to beat; a master that fails or asked for a pause gets the whole of it.
    isWatching = failures === 0 && retryAfterMs === null;
    if (isWatching) {
      delayMs = Math.max(0, delayMs - (performance.now() - startedAt));
    }
  }
}
