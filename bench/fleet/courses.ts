import { type Answer, type Beats, type Schedule, simulate } from "./simulation.ts";

/** How large a fleet is, and where its chance begins. */
export interface Fleet {
  readonly hosts: number;
  readonly seed: number;
}

export const intervalMs = 30_000;
/** A whole number of intervals that is longer than the longest backoff, in seconds. */
export const watchedSeconds = 600;
/** In seconds: when all have been powered on for an interval, and have beaten. */
export const afterFirstInterval = 31;
/** In seconds: when the master goes away. */
export const goneAt = afterFirstInterval + watchedSeconds;

/** All hosts are powered on within one second, and the master is there. */
export function powerOn(schedule: Schedule, fleet: Fleet): Beats {
  return run(schedule, fleet, { powerOnMs: 1000, seconds: goneAt, answer: () => "accepted" });
}

/**
 * Powered on likewise, or spread evenly over an interval. Later the master is away for so many
 * seconds; till then it says nothing, or when to come back.
 */
export function outage(
  schedule: Schedule,
  fleet: Fleet,
  { seconds, asks = "nothing", start = "together" }: {
    readonly seconds: number;
    readonly asks?: "nothing" | "a date" | number;
    readonly start?: "together" | "spread";
  },
): Beats {
  const backAt = goneAt + seconds;
  const refusal = (atMs: number): Answer => {
    if (asks === "nothing") return "no reply";
    return { retryAfterMs: asks === "a date" ? backAt * 1000 - atMs : asks * 1000 };
  };
  return run(schedule, fleet, {
    powerOnMs: start === "together" ? 1000 : intervalMs,
    seconds: backAt + watchedSeconds,
    answer: (atMs) => atMs < goneAt * 1000 || atMs >= backAt * 1000 ? "accepted" : refusal(atMs),
  });
}

function run(
  schedule: Schedule,
  fleet: Fleet,
  { powerOnMs, seconds, answer }: {
    readonly powerOnMs: number;
    readonly seconds: number;
    readonly answer: (atMs: number) => Answer;
  },
): Beats {
  return simulate({
    ...fleet,
    schedule,
    intervalMs,
    powerOnMs,
    durationMs: seconds * 1000,
    answer,
  });
}
