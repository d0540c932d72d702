/** Lets one part of the agent wait and another cut the wait short. */
export class Bell {
  #isRung = false;
  #isHinted = false;
  #onRing: () => void = () => {};
  #onHint: () => void = () => {};

  /** Rings; the ringing lasts until it is taken. */
  ring(): void {
    this.#isRung = true;
    this.#onRing();
  }

  /** Lets it be known that there may be something to look at; that, too, lasts until it is taken. */
  hint(): void {
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
