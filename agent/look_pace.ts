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
export class LookPace {
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
  looked(now: number, isNews: boolean, tookMs = 0): void {
    const restMs = Math.min(Math.max(settleMs, restFactor * tookMs), lastAgainMs);
    if (this.#isHinted) {
      const isCalm = now - this.#lastAt > calmMs;
      const gapMs = isCalm ? restMs : Math.max(restMs, 2 * this.#gapMs);
      this.#gapMs = Math.min(longestGapMs, gapMs);
      this.#lastAt = now;
    }
    if (isNews) this.#gapMs = restMs;
    this.#againMs = this.#isHinted ? restMs : 2 * this.#againMs;
    this.#isHinted = false;
    this.#dueAt = this.#againMs <= lastAgainMs ? now + this.#againMs : Infinity;
  }
}
