/** The least that a set of timers waits at a time, in milliseconds. */
const stepMs = 250;
/** Who wakes up so much too late was not running, and has not listened either. */
const frozenMs = 1_000;

/**
 * Timers that can be called off. They are made of `AbortSignal.timeout`, which costs a hundredth of
 * what the first `setTimeout` adds to the start of the program (6 ms), but cannot be called off and
 * stays in memory until its time has come: so there is one at a time, for all timers of a set, and
 * it is short.
 */
export class Timers {
  readonly #timers = new Set<{ dueAt: number; readonly onDue: () => void }>();
  #isWaiting = false;

  /**
   * Calls `onDue` after `ms`, at most 250 ms late; the answer is a function that calls it off. Time in
   * which the process was stopped does not count: what came meanwhile has not been read yet.
   */
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
    const waitMs = Math.max(0, Math.min(stepMs, leftMs));
    const wakesAt = performance.now() + waitMs;
    AbortSignal.timeout(waitMs).addEventListener("abort", () => {
      this.#isWaiting = false;
      const lateMs = performance.now() - wakesAt;
      for (const timer of this.#timers) {
        if (lateMs > frozenMs) timer.dueAt += lateMs;
        if (timer.dueAt > performance.now()) continue;
        this.#timers.delete(timer);
        timer.onDue();
      }
      this.#wait();
    });
  }
}
