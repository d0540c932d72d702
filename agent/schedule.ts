/** What a waiting part of the agent is requested to do. */
type WakeupRequest = "send" | "check";

/** Lets one part of the agent wait and another cut the wait short. */
export class Wakeup {
  readonly #requests = new Set<WakeupRequest>();
  #onRequest = () => {};

  /** Requests a heartbeat at once; the request is kept until it is taken. */
  requestSend(): void {
    this.#requests.add("send");
    this.#onRequest();
  }

  /** Requests a check, as the host may have changed; the request is kept until it is taken. */
  requestCheck(): void {
    this.#requests.add("check");
    this.#onRequest();
  }

  /** Returns true when this was requested since the last call. */
  take(request: WakeupRequest): boolean {
    return this.#requests.delete(request);
  }

  /**
   * Waits so many milliseconds, or until a heartbeat is requested, or with `forChecks` a check. Returns
   * at once for a request that was not taken, and false when `signal` is aborted. Only one caller at a
   * time can wait.
   */
  wait(ms: number, signal: AbortSignal, { forChecks = false } = {}): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const isRequested = () =>
      this.#requests.has("send") || (forChecks && this.#requests.has("check"));
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      this.#onRequest = () => {};
      resolve(!signal.aborted);
    };
    // A timer that fires early would find nothing due.
    const timer = setTimeout(end, Math.ceil(ms));
    this.#onRequest = () => isRequested() && end();
    signal.addEventListener("abort", end, { once: true });
    if (signal.aborted || isRequested()) end();
    return promise;
  }
}

/** From a request to its check: Docker's lists show a change 10 to 80 ms after its event. */
const settleMs = 100;
/** The longest pause before another check for the same request. */
const maxRepeatMs = 3_200;
/** The longest pause between two requested checks while nothing changes. */
const maxGapMs = 5_000;
/** After so long without a requested check, the pauses are short again. */
const calmMs = 10_000;
/** The pause after a check is at least so many times as long as the check: lists may be long. */
const restFactor = 4;

/**
 * Decides when to check the host after requests. Docker sends an event before its lists are up to
 * date, so one request leads to several checks, within 7 s. While requests continue and nothing
 * changes, checks get rarer, down to one in 5 s. All times are milliseconds of one clock.
 */
export class RecheckBackoff {
  /** When the next check is due; `Infinity`: there is no reason for one. */
  dueAt = Infinity;
  /** Whether the next check was requested: further requests change nothing. */
  isRequested = false;
  /** When the last requested check ended. */
  #lastAt = -Infinity;
  /** The least from there to the next requested check. */
  #gapMs = settleMs;
  /** The pause before another check for the same request. */
  #repeatMs = Infinity;

  /** Plans a check for a request. */
  request(now: number): void {
    if (this.isRequested) return;
    this.isRequested = true;
    this.dueAt = Math.max(now + settleMs, this.#lastAt + this.#gapMs);
  }

  /** Plans the next check after one that took `tookMs` and ended at `now`. */
  checked(now: number, hasChanged: boolean, tookMs = 0): void {
    const restMs = Math.min(Math.max(settleMs, restFactor * tookMs), maxRepeatMs);
    if (this.isRequested) {
      const isCalm = now - this.#lastAt > calmMs;
      const gapMs = isCalm ? restMs : Math.max(restMs, 2 * this.#gapMs);
      this.#gapMs = Math.min(maxGapMs, gapMs);
      this.#lastAt = now;
    }
    if (hasChanged) this.#gapMs = restMs;
    this.#repeatMs = this.isRequested ? restMs : 2 * this.#repeatMs;
    this.isRequested = false;
    this.dueAt = this.#repeatMs <= maxRepeatMs ? now + this.#repeatMs : Infinity;
  }
}

const minBackoffMs = 5_000;
const maxBackoffMs = 5 * 60_000;
const minRetryAfterMs = 5_000;
const maxRetryAfterMs = 60 * 60_000;
/** The part of the interval by which each heartbeat is sent sooner or later. */
const jitter = 0.2;

/** What decides when the next heartbeat is due. */
export interface SendHistory {
  readonly intervalMs: number;
  /** Heartbeats in a row that the master did not answer, or answered with 429 or 5xx. */
  readonly failures: number;
  /** How long the master asked to wait, in milliseconds, or null. */
  readonly retryAfterMs: number | null;
}

/** Returns the delay from one heartbeat to the next; `random` is in [0, 1). Pure. */
export function nextDelayMs(history: SendHistory, random: number): number {
  const { intervalMs, failures, retryAfterMs } = history;
  if (retryAfterMs !== null) {
    // Many hosts may be asked to come at the same second. They are spread over the shortest
    // interval, so that all have come before the first is due again.
    const spreadMs = intervalMs * (1 - jitter) * random;
    return Math.min(maxRetryAfterMs, Math.max(minRetryAfterMs, retryAfterMs) + spreadMs);
  }
  if (failures === 0) return intervalMs * (1 - jitter + 2 * jitter * random);
  // Full jitter: anywhere between the least and a bound that doubles with each failure.
  const bound = Math.min(maxBackoffMs, minBackoffMs * 2 ** Math.min(failures, 16));
  return minBackoffMs + (bound - minBackoffMs) * random;
}

/** When heartbeats are sent. */
export interface SchedulerOptions {
  readonly intervalMs: number;
  /** The least between two early heartbeats, in milliseconds; 5 s by default. */
  readonly minEarlyGapMs?: number;
  /** Milliseconds, by a clock that never jumps. */
  readonly now?: () => number;
  /** A number in [0, 1). */
  readonly random?: () => number;
}

/** Decides when the host is checked, and which checks lead to a heartbeat. Pure. */
export class HeartbeatScheduler {
  readonly #options: Required<SchedulerOptions>;
  readonly #recheck = new RecheckBackoff();
  /** Which heartbeats may be early: for requests and changes, for requests, or none. */
  #allowed: "all" | "requested" | "none" = "requested";
  #isEarlySendDue = false;
  #lastEarlyAt = -Infinity;
  /** When the next heartbeat is due in its turn. */
  #dueAt: number;
  #checkStartedAt = -Infinity;
  #checkEndedAt: number;
  #failures = 0;
  #sentContents = "";

  constructor(options: SchedulerOptions) {
    const { intervalMs, minEarlyGapMs = 5_000, random = Math.random } = options;
    const { now = () => performance.now() } = options;
    this.#options = { intervalMs, minEarlyGapMs, now, random };
    this.#checkEndedAt = now();
    // Many hosts may be powered on together.
    this.#dueAt = this.#checkEndedAt + intervalMs * random();
  }

  /** Milliseconds until the next check; 0 when it is due. */
  nextCheckMs(): number {
    return Math.max(0, Math.min(this.#sendAt, this.#unsentCheckAt) - this.#options.now());
  }

  /** Whether a request for a check may end the wait for the next one. */
  get takesCheckRequests(): boolean {
    return this.#allowed === "all" && !this.#recheck.isRequested && !this.#isEarlySendDue;
  }

  /** Whether a check leads to a heartbeat now, whatever it finds. */
  get isSendDue(): boolean {
    return this.#sendAt <= this.#options.now();
  }

  /** Whether the check that is due only looks for changes, after a request. */
  get isRecheck(): boolean {
    return this.#allowed === "all" && !this.isSendDue;
  }

  /** Plans an early heartbeat, unless the master asked for a pause. */
  requestSend(): void {
    if (this.#allowed !== "none") this.#isEarlySendDue = true;
  }

  /** Plans checks for a change. */
  requestCheck(): void {
    this.#recheck.request(this.#options.now());
  }

  /** Records that the check that was due has begun. */
  checkStarted(): void {
    this.#checkStartedAt = this.#options.now();
  }

  /** Records that the check that was due has found nothing. */
  checkSkipped(): void {
    this.#checkStartedAt = this.#checkEndedAt = this.#options.now();
    this.#recheck.checked(this.#checkEndedAt, false);
  }

  /** Ends a check that found `contents` for a heartbeat; returns whether to send it now. */
  shouldSend(contents: string): boolean {
    const now = this.#checkEndedAt = this.#options.now();
    const hasChanged = contents !== this.#sentContents;
    this.#recheck.checked(now, hasChanged, now - this.#checkStartedAt);
    if (hasChanged && this.#allowed === "all") this.#isEarlySendDue = true;
    if (!this.isSendDue) return false;
    this.#sentContents = contents;
    return true;
  }

  /** Plans the next heartbeat; a failure is no answer, or one of 429 or 5xx. */
  sent(
    { isFailure, retryAfterMs }: { isFailure: boolean; retryAfterMs: number | null },
  ): void {
    const { intervalMs, now, random } = this.#options;
    if (this.#checkStartedAt < this.#dueAt) this.#lastEarlyAt = this.#checkStartedAt;
    this.#isEarlySendDue = false;
    this.#failures = isFailure ? this.#failures + 1 : 0;
    this.#allowed = retryAfterMs !== null ? "none" : isFailure ? "requested" : "all";
    this.#checkEndedAt = now();
    // The interval is from start to start; a backoff or a pause begins at the end.
    const from = this.#allowed === "all" ? this.#checkStartedAt : this.#checkEndedAt;
    const history = { intervalMs, failures: this.#failures, retryAfterMs };
    this.#dueAt = from + nextDelayMs(history, random());
  }

  /** When the next heartbeat is due, early or in its turn. */
  get #sendAt(): number {
    const earlyAt = this.#lastEarlyAt + this.#options.minEarlyGapMs;
    return this.#isEarlySendDue ? Math.min(this.#dueAt, earlyAt) : this.#dueAt;
  }

  /** When a check is due that need not lead to a heartbeat. */
  get #unsentCheckAt(): number {
    if (this.#isEarlySendDue) return Infinity;
    // In a backoff or a pause, what is found is reported at each interval.
    const reportAt = this.#checkEndedAt + this.#options.intervalMs;
    return this.#allowed === "all" ? this.#recheck.dueAt : reportAt;
  }
}
