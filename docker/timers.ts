/** The least that a set of timers waits at a time, in milliseconds. */
const stepMs = 250;

/**
 * Timers that can be called off. They are made of `AbortSignal.timeout`, which costs a hundredth of
 * what the first `setTimeout` adds to the start of the program (6 ms), but cannot be called off and
 * stays in memory until its time has come: so there is one at a time, for all timers of a set, and
 * it is short.
 */
export class Timers {
  readonly #timers = new Set<{ readonly dueAt: number; readonly onDue: () => void }>();
  #isWaiting = false;

  /** Calls `onDue` after `ms`, at most 250 ms late; the answer is a function that calls it off. */
  start(ms: number, onDue: () => void): () => void {
    const timer = { dueAt: performance.now() + ms, onDue };
    this.#timers.add(timer);
    this.#wait();
    return () => this.#timers.delete(timer);
  }

  #wait(): void {
    if (this.#isWaiting || this.#timers.size === 0) return;
    this.#isWaiting = true;
    const firstDueAt = Math.min(...[...this.#timers].map(({ dueAt }) => dueAt));
    const leftMs = Math.ceil(firstDueAt - performance.now());
    AbortSignal.timeout(Math.max(0, Math.min(stepMs, leftMs))).addEventListener("abort", () => {
      this.#isWaiting = false;
      for (const timer of this.#timers) {
        if (timer.dueAt > performance.now()) continue;
        this.#timers.delete(timer);
        timer.onDue();
      }
      this.#wait();
    });
  }
}
