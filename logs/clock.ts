/** A clock that was set back by less is not noticed; each reading begins so much earlier, in ms. */
const unnoticedMs = 100;
/** How far the clock may have been set back while no agent watched it, in milliseconds. */
const unwatchedMs = 60 * 60_000;

/**
 * Notices when the system's clock is set back, by one that never is. The engine only takes a time from
 * which on it sends lines, and leaves out those that were written later with an earlier time.
 */
export class ClockWatcher {
  readonly #startedAt = Date.now();
  /** What the system's clock is ahead of the other. */
  #offset = Date.now() - performance.now();
  #checkedAt = performance.now();
  /** The times that came twice since the start, in milliseconds since 1970. */
  #low = Infinity;
  #high = -Infinity;

  /** Returns the time to which the clock was set back since the last call, or null. */
  check(): number | null {
    const monotonic = performance.now();
    const offset = Date.now() - monotonic;
    const isSetBack = offset < this.#offset - unnoticedMs;
    const setTo = this.#checkedAt + offset;
    if (isSetBack) {
      this.#low = Math.min(this.#low, setTo);
      this.#high = Math.max(this.#high, monotonic + this.#offset);
    }
    this.#offset = isSetBack ? offset : Math.max(offset, this.#offset);
    this.#checkedAt = monotonic;
    return isSetBack ? setTo : null;
  }

  /**
   * Returns a time, such that each line that was written after one of `time` has a later one; -Infinity
   * when none is known. All in milliseconds since 1970.
   */
  earliestAfter(time: number): number {
    if (!this.mayComeTwice(time)) {
      return time - (time < this.#startedAt ? unwatchedMs : unnoticedMs);
    }
    return time <= this.#high ? this.#low - unnoticedMs : -Infinity;
  }

  /** Whether the clock has had a time twice, or will have it a second time; also for NaN. */
  mayComeTwice(time: number): boolean {
    return !(time <= Date.now()) || (time >= this.#low && time <= this.#high);
  }
}
