/** Sets what `Date.now()` returns in this process; the other clock goes on as it does. */
export class TestClock implements Disposable {
  readonly #now = Date.now;

  /** Sets it, by the time that it is. */
  set(byMs: number): void {
    const now = this.#now;
    Date.now = () => now() + byMs;
  }

  [Symbol.dispose](): void {
    Date.now = this.#now;
  }
}
