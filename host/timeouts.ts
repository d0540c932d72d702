/** Longest single wait, in milliseconds. */
const stepMs = 250;
/** A wait this much too long means that the process was stopped or busy, in milliseconds. */
const frozenMs = 100;

/**
 * Timeouts that can be stopped. Uses `AbortSignal.timeout`, as the first `setTimeout` adds 6 ms to the
 * start of the program; one at a time and short, as it cannot be stopped and stays in memory.
 */
export class TimeoutSet {
  readonly #timeouts = new Set<{ dueAt: number; readonly onDue: () => void }>();
  #isWaiting = false;

  /**
   * Calls `onDue` after `ms`, at most 250 ms late; returns a function that stops the timeout. Does not
   * count time in which the process was stopped, as answers that arrived then are not read yet.
   */
  start(ms: number, onDue: () => void): () => void {
    const timeout = { dueAt: performance.now() + ms, onDue };
    this.#timeouts.add(timeout);
    this.#wait();
    return () => this.#timeouts.delete(timeout);
  }

  #wait(): void {
    if (this.#isWaiting || this.#timeouts.size === 0) return;
    this.#isWaiting = true;
    const firstDueAt = Math.min(...[...this.#timeouts].map(({ dueAt }) => dueAt));
    const leftMs = Math.ceil(firstDueAt - performance.now());
    const waitMs = Math.max(0, Math.min(stepMs, leftMs));
    const wakesAt = performance.now() + waitMs;
    AbortSignal.timeout(waitMs).addEventListener("abort", () => {
      this.#isWaiting = false;
      const lateMs = performance.now() - wakesAt;
      for (const timeout of this.#timeouts) {
        if (lateMs > frozenMs) timeout.dueAt += lateMs;
        if (timeout.dueAt > performance.now()) continue;
        this.#timeouts.delete(timeout);
        timeout.onDue();
      }
      this.#wait();
    });
  }
}
