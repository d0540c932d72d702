/** Lets one part of the agent wait and another cut the wait short. */
export class Bell {
  #isRung = false;
  #onRing: () => void = () => {};

  /** Rings; the ringing lasts until it is taken. */
  ring(): void {
    this.#isRung = true;
    this.#onRing();
  }

  /** Whether it has rung since the last time. */
  take(): boolean {
    const isRung = this.#isRung;
    this.#isRung = false;
    return isRung;
  }

  /**
   * Waits so many milliseconds, or until it rings, if it has not rung already; answers false when
   * `signal` cut the wait short. One at a time can wait.
   */
  wait(ms: number, signal: AbortSignal): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      this.#onRing = () => {};
      resolve(!signal.aborted);
    };
    const timer = setTimeout(end, ms);
    this.#onRing = end;
    signal.addEventListener("abort", end, { once: true });
    if (signal.aborted || this.#isRung) end();
    return promise;
  }
}
