/**
 * When the next beat goes out. Pure: the caller brings the randomness, so that a fleet can be
 * simulated with the very code that runs on each host. Times in milliseconds.
 */

const backoffFirstMs = 5_000;
const backoffLimitMs = 5 * 60_000;
const retryAfterMinimumMs = 5_000;
const retryAfterLimitMs = 60 * 60_000;
const listenFirstMs = 1_000;
const listenLimitMs = 60_000;
/** The part of the interval by which each beat comes sooner or later. */
const jitter = 0.2;

/** What the schedule knows of the beats so far. */
export interface BeatHistory {
  readonly intervalMs: number;
  /** Beats in a row that the master did not answer, or answered with a fault of its own. */
  readonly failures: number;
  /** How long the master asked to wait, or null. */
  readonly retryAfterMs: number | null;
}

/** A random point in the first interval: hosts that are powered on together must not beat together. */
export function firstDelayMs(intervalMs: number, random: number): number {
  return intervalMs * random;
}

/** The delay from one beat to the next; `random` is in [0, 1). */
export function nextDelayMs(history: BeatHistory, random: number): number {
  const { intervalMs, failures, retryAfterMs } = history;
  if (retryAfterMs !== null) {
    // Many hosts may have been asked to come at the same second, by a date above all. So each comes
    // later by a random part of the shortest interval: when the first is due again, all have come.
    const spreadMs = intervalMs * (1 - jitter) * random;
    return Math.min(retryAfterLimitMs, Math.max(retryAfterMinimumMs, retryAfterMs) + spreadMs);
  }
  if (failures === 0) return intervalMs * (1 - jitter + 2 * jitter * random);
  // Full jitter: anywhere between the least and a bound that doubles with each failure.
  const bound = Math.min(backoffLimitMs, backoffFirstMs * 2 ** Math.min(failures, 16));
  return backoffFirstMs + (bound - backoffFirstMs) * random;
}

/** The delay after the n-th failure in a row to listen to the engine, or after the end of a stream. */
export function listenDelayMs(failures: number, random: number): number {
  const bound = Math.min(listenLimitMs, listenFirstMs * 2 ** Math.min(failures - 1, 16));
  return bound * (0.5 + 0.5 * random);
}
