import type { Log } from "../host/log.ts";
import { ChangeLog } from "./change_log.ts";
import type { Agent, Heartbeat } from "./heartbeat.ts";
import {
  type EarlySend,
  firstDelayMs,
  HeartbeatScheduler,
  nextDelayMs,
  type Wait,
  Wakeup,
} from "./schedule.ts";
import { wantsBackoff } from "./sender.ts";

/** What the loop needs besides the agent. */
interface LoopOptions {
  readonly intervalMs: number;
  readonly log: Log;
  /** Takes each beat. */
  readonly onHeartbeat?: (heartbeat: Heartbeat) => void;
  /** Takes what is seen while a failing master keeps the next beat waiting, at each interval. */
  readonly onGlance?: (heartbeat: Heartbeat) => void;
  /** Told when the loop begins to do something, and when it has ended: what hangs is noticed there. */
  readonly onWork?: (phase: "begin" | "end") => void;
  /** A number in [0, 1). */
  readonly random?: () => number;
  /** The least between two beats out of turn, in milliseconds. */
  readonly minEarlyGapMs?: number;
  /** Calls for a beat at once, or hints that there may be news for one. */
  readonly wakeup?: Wakeup;
  /** Whether the agent itself is changing the host: then what is half done is no news. */
  readonly isBusy?: () => boolean;
  readonly wait?: Wait;
}

/** Beats until `signal` is aborted. Nothing that a beat meets ends the loop. */
export async function runLoop(
  agent: Agent,
  signal: AbortSignal,
  options: LoopOptions,
): Promise<void> {
  const { intervalMs, log, onHeartbeat = () => {}, random = Math.random } = options;
  const { minEarlyGapMs = 5_000, wakeup = new Wakeup(), isBusy = () => false } = options;
  const { onWork = () => {}, onGlance = () => {} } = options;
  const work = async <T>(task: () => Promise<T>): Promise<T> => {
    onWork("begin");
    try {
      return await task();
    } finally {
      onWork("end");
    }
  };
  const { wait = (ms, signal, wakeup, options) => wakeup.wait(ms, signal, options) } = options;
  const look = async (task: () => Promise<boolean>) => {
    try {
      return await work(task);
    } catch (error) {
      // As with a beat.
      log("error", `a look at the host failed: ${error instanceof Error ? error.message : error}`);
      return false;
    }
  };
  const hasChanged = () => look(() => agent.hasChanged(signal));
  const due = new HeartbeatScheduler({
    wakeup,
    wait,
    minEarlyGapMs: minEarlyGapMs,
    hasChanged,
    isBusy,
  });
  const changeLog = new ChangeLog(log);
  // What is told here, in the log and to the supervisor, must not wait for a master.
  const glanceUntil = async (over: AbortSignal) => {
    while (last && await new Wakeup().wait(intervalMs, over)) {
      const heartbeat = last;
      if (isBusy()) continue;
      await look(async () => {
        const seen = await agent.glance(heartbeat, over);
        // What was cut short says nothing about the host.
        if (over.aborted) return false;
        changeLog.recordHost(seen, isBusy());
        onGlance(seen);
        return true;
      });
    }
  };
  const isDue = async () => {
    if (earlySend === "news") return await due.next(delayMs, signal, earlySend);
    const over = new AbortController();
    const glancing = glanceUntil(AbortSignal.any([signal, over.signal]));
    const isDue = await due.next(delayMs, signal, earlySend);
    over.abort();
    await glancing;
    return isDue;
  };
  let last: Heartbeat | null = null;
  let failures = 0;
  let delayMs = firstDelayMs(intervalMs, random());
  let earlySend: EarlySend = "called";
  while (await isDue()) {
    const startedAt = performance.now();
    let retryAfterMs: number | null = null;
    try {
      const heartbeat = last = await work(() => agent.sendHeartbeat(signal));
      // A beat that was cut short by the stop says nothing about the host.
      if (signal.aborted) break;
      changeLog.record(heartbeat, isBusy());
      onHeartbeat(heartbeat);
      failures = wantsBackoff(heartbeat.delivery) ? failures + 1 : 0;
      if ("retryAfterMs" in heartbeat.delivery) retryAfterMs = heartbeat.delivery.retryAfterMs;
    } catch (error) {
      // Nothing is known to lead here; should something, the host must still be heard of.
      log("error", `the beat failed: ${error instanceof Error ? error.message : error}`);
      failures++;
    }
    delayMs = nextDelayMs({ intervalMs, failures, retryAfterMs }, random());
    // A master that asked for a pause gets it, whatever there is to say.
    earlySend = retryAfterMs !== null ? "none" : failures > 0 ? "called" : "news";
    // The pace is from beat to beat; a master that fails or asked for a pause gets the whole of it.
    if (earlySend === "news") {
      delayMs = Math.max(0, delayMs - (performance.now() - startedAt));
    }
  }
}
