/** Lets one part of the agent wait and another cut the wait short. */
export class Wakeup {
  #isRung = false;
  #isHinted = false;
  #onRing: () => void = () => {};
  #onHint: () => void = () => {};

  /** Rings; the ringing lasts until it is taken. */
  requestSend(): void {
    this.#isRung = true;
    this.#onRing();
  }

  /** Lets it be known that there may be something to look at; that, too, lasts until it is taken. */
  requestCheck(): void {
    if (this.#isHinted) return;
    this.#isHinted = true;
    this.#onHint();
  }

  /** Whether it has rung since the last time. */
  take(): boolean {
    const isRung = this.#isRung;
    this.#isRung = false;
    return isRung;
  }

  /** Whether there was a hint since the last time. */
  takeHint(): boolean {
    const isHinted = this.#isHinted;
    this.#isHinted = false;
    return isHinted;
  }

  /**
   * Waits so many milliseconds, or until it rings, if it has not rung already, or else until there is
   * a hint, for who takes one; answers false when `signal` cut the wait short. One at a time can wait.
   */
  wait(ms: number, signal: AbortSignal, { takesHints = false } = {}): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      this.#onRing = this.#onHint = () => {};
      resolve(!signal.aborted);
    };
    const timer = setTimeout(end, ms);
    this.#onRing = end;
    if (takesHints) this.#onHint = end;
    signal.addEventListener("abort", end, { once: true });
    if (signal.aborted || this.#isRung || (takesHints && this.#isHinted)) end();
    return promise;
  }
}

/**
 * From the first hint to the look: what is done to a host seldom comes alone, and Docker tells that a
 * container died 10 to 80 ms before its lists know of it.
 */
const settleMs = 100;
/** From then on it looks again, each time after twice as long, up to this. */
const lastAgainMs = 3_200;
const longestGapMs = 5_000;
/** A hint so long after the last look for one begins anew; a sooner one goes on with the same. */
const calmMs = 10_000;
/** A look is followed by at least so many times as long without one: lists may be long. */
const restFactor = 4;

/**
 * When to look at the host because of hints. An event comes before the engine's lists are up to date,
 * nobody knows how long; so after the last hint it looks several times, within 6 s. While hints go on
 * and on, in whatever rhythm, and looks find nothing, looks for hints get rarer, down to one in 5 s.
 * Times in milliseconds, by one clock.
 */
export class RecheckBackoff {
  #dueAt = Infinity;
  #isHinted = false;
  /** When the last look for a hint was. */
  #lastAt = -Infinity;
  /** The least from one such look to the next. */
  #gapMs = settleMs;
  #againMs = Infinity;

  /** When to look next; `Infinity`: there is nothing to look for. */
  get dueAt(): number {
    return this.#dueAt;
  }

  /** Whether the next look is due to a hint: then more of them change nothing. */
  get isHinted(): boolean {
    return this.#isHinted;
  }

  /** There was a hint. */
  hint(now: number): void {
    if (this.#isHinted) return;
    this.#isHinted = true;
    this.#dueAt = Math.max(now + settleMs, this.#lastAt + this.#gapMs);
  }

  /** A look ended that took so long; `isNews` tells whether it found something. */
  looked(now: number, changed: boolean, tookMs = 0): void {
    const restMs = Math.min(Math.max(settleMs, restFactor * tookMs), lastAgainMs);
    if (this.#isHinted) {
      const isCalm = now - this.#lastAt > calmMs;
      const gapMs = isCalm ? restMs : Math.max(restMs, 2 * this.#gapMs);
      this.#gapMs = Math.min(longestGapMs, gapMs);
      this.#lastAt = now;
    }
    if (changed) this.#gapMs = restMs;
    this.#againMs = this.#isHinted ? restMs : 2 * this.#againMs;
    this.#isHinted = false;
    this.#dueAt = this.#againMs <= lastAgainMs ? now + this.#againMs : Infinity;
  }
}

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
export interface SendHistory {
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
export function nextDelayMs(history: SendHistory, random: number): number {
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

/** Waits so long, or until the bell says something; answers false when the signal cut it short. */
export type Wait = (
  ms: number,
  signal: AbortSignal,
  wakeup: Wakeup,
  options?: { readonly takesHints?: boolean },
) => Promise<boolean>;

/** What it takes to know when a beat is due. */
interface SchedulerOptions {
  readonly wakeup: Wakeup;
  readonly wait: Wait;
  /** The least between two beats out of turn, in milliseconds. */
  readonly minEarlyGapMs: number;
  /** Looks whether a beat would say something else than the last one. */
  readonly hasChanged: () => Promise<boolean>;
  /** Whether what is half done is no news now. */
  readonly isBusy: () => boolean;
}

/** Which beats may come out of turn: `none`, those that the bell calls for, or for news as well. */
export type EarlySend = "none" | "called" | "news";

/** Tells when beats are due: in their turn, and out of turn when there is something to say. */
export class HeartbeatScheduler {
  readonly #options: SchedulerOptions;
  readonly #pace = new RecheckBackoff();
  #lastExtraAt = -Infinity;

  constructor(options: SchedulerOptions) {
    this.#options = options;
  }

  /** Resolves when the next beat is due, at the latest after `delayMs`; false when it is to stop. */
  async next(delayMs: number, signal: AbortSignal, earlySend: EarlySend): Promise<boolean> {
    const { wakeup, wait } = this.#options;
    const dueAt = performance.now() + delayMs;
    for (let leftMs = delayMs;;) {
      const lookAt = earlySend === "news" ? this.#pace.dueAt : Infinity;
      const takesHints = earlySend === "news" && !this.#pace.isHinted;
      const waitMs = Math.max(0, Math.min(leftMs, lookAt - performance.now()));
      if (!await wait(waitMs, signal, wakeup, { takesHints })) return false;
      if (wakeup.take()) {
        if (earlySend !== "none") return await this.#extra(signal);
      } else if (takesHints && wakeup.takeHint()) {
        this.#pace.hint(performance.now());
      } else if (lookAt >= dueAt) {
        return true;
      } else if (await this.#look()) {
        return await this.#extra(signal);
      }
      leftMs = Math.max(0, dueAt - performance.now());
    }
  }

  async #look(): Promise<boolean> {
    const { wakeup, hasChanged, isBusy } = this.#options;
    // Hints from here on may be of what this look no longer sees.
    if (wakeup.takeHint()) this.#pace.hint(performance.now());
    const startedAt = performance.now();
    const changed = !isBusy() && await hasChanged();
    const now = performance.now();
    this.#pace.looked(now, changed, now - startedAt);
    return changed;
  }

  /** Resolves when there may be one more beat out of turn. */
  async #extra(signal: AbortSignal): Promise<boolean> {
    const { wakeup, wait, minEarlyGapMs } = this.#options;
    const tooEarlyMs = this.#lastExtraAt + minEarlyGapMs - performance.now();
    if (tooEarlyMs > 0) await wait(tooEarlyMs, signal, new Wakeup());
    this.#lastExtraAt = performance.now();
    // Whatever has rung meanwhile, this beat tells it.
    wakeup.take();
    return !signal.aborted;
  }
}
