import type { Log } from "../host/mod.ts";
import type { Agent, Beat } from "./agent.ts";
import { wantsBackoff } from "./delivery.ts";
import { Diary } from "./diary.ts";
import { firstDelayMs, nextDelayMs } from "./schedule.ts";

/** What the loop needs besides the agent. */
export interface LoopOptions {
  readonly intervalMs: number;
  readonly log: Log;
  /** Takes each beat. */
  readonly onBeat?: (beat: Beat) => void;
  /** A number in [0, 1). */
  readonly random?: () => number;
  /** How often to look at the host between two beats, in milliseconds. */
  readonly lookIntervalMs?: number;
  /** Waits so many milliseconds; answers false when the wait was cut short by the signal. */
  readonly wait?: (ms: number, signal: AbortSignal) => Promise<boolean>;
}

/** Beats until `signal` is aborted. Nothing that a beat meets ends the loop. */
export async function runLoop(
  agent: Agent,
  signal: AbortSignal,
  options: LoopOptions,
): Promise<void> {
  const { intervalMs, log, onBeat = () => {}, random = Math.random, wait = pause } = options;
  const { lookIntervalMs = 5_000 } = options;
  const diary = new Diary(log);
  let failures = 0;
  let delayMs = firstDelayMs(intervalMs, random());
  let isWatching = false;
  /** Ends when the next beat is due, or there is news for it; false when the loop is to stop. */
  const isDue = async () => {
    for (let leftMs = delayMs;;) {
      if (!isWatching || leftMs <= lookIntervalMs) return await wait(leftMs, signal);
      if (!await wait(lookIntervalMs, signal)) return false;
      const startedAt = performance.now();
      if (await agent.hasNews(signal)) return !signal.aborted;
      leftMs = Math.max(0, leftMs - lookIntervalMs - (performance.now() - startedAt));
    }
  };
  while (await isDue()) {
    const startedAt = performance.now();
    let retryAfterMs: number | null = null;
    try {
      const beat = await agent.beat(signal);
      // A beat that was cut short by the stop says nothing about the host.
      if (signal.aborted) break;
      diary.note(beat);
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

function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const end = () => {
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
    resolve(!signal.aborted);
  };
  const timer = setTimeout(end, ms);
  signal.addEventListener("abort", end, { once: true });
  if (signal.aborted) end();
  return promise;
}
