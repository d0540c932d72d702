/** Aborts its signal when a time, which can be set anew, has passed, or when `parent` is aborted. */
export class Deadline {
  readonly #controller = new AbortController();
  readonly signal = this.#controller.signal;
  readonly #parent: AbortSignal;
  readonly #onParent = () => this.#controller.abort(this.#parent.reason);
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(parent: AbortSignal) {
    this.#parent = parent;
    if (parent.aborted) this.#onParent();
    parent.addEventListener("abort", this.#onParent, { once: true });
  }

  /** Starts the time anew. */
  set(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const seconds = Math.round(ms / 100) / 10;
      this.#controller.abort(new Error(`no answer within ${seconds} s`));
    }, ms);
  }

  /** Ends the time; the signal follows neither it nor the parent any more. */
  clear(): void {
    clearTimeout(this.#timer);
    this.#parent.removeEventListener("abort", this.#onParent);
  }
}
