/** Things that come from elsewhere, in their order, each to be waited for. */
export class Arrivals<T> {
  readonly #signal: AbortSignal;
  readonly #describe: (item: T) => string;
  #queue: T[] = [];
  #onArrival = () => {};

  /** `signal` ends the waiting; `describe` puts an item in words for the error of `next()`. */
  constructor(signal: AbortSignal, describe: (item: T) => string) {
    this.#signal = signal;
    this.#describe = describe;
  }

  /** Takes what has come. */
  add(item: T): void {
    this.#queue.push(item);
    this.#onArrival();
  }

  /** Forgets what has come and was not waited for. */
  clear(): void {
    this.#queue = [];
  }

  /**
   * The next one that matches, now or later; those before it are passed over. Only one may wait at
   * a time. Throws `Error`, which names `what` and the last one passed over, when none comes in time.
   */
  async next(what: string, matches: (item: T) => boolean, timeoutMs = 5_000): Promise<T> {
    this.#signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    let passedOver = "nothing came";
    const look = () => {
      for (let item; (item = this.#queue.shift()) !== undefined;) {
        if (matches(item)) return settle(item);
        passedOver = `the last that came: ${this.#describe(item)}`;
      }
    };
    const settle = (item: T) => {
      this.#onArrival = () => {};
      resolve(item);
    };
    const end = () => reject(this.#signal.reason);
    const timer = setTimeout(() => {
      reject(new Error(`waited ${timeoutMs / 1000} s in vain for ${what}; ${passedOver}`));
    }, timeoutMs);
    this.#signal.addEventListener("abort", end, { once: true });
    this.#onArrival = look;
    look();
    try {
      return await promise;
    } finally {
      this.#onArrival = () => {};
      clearTimeout(timer);
      this.#signal.removeEventListener("abort", end);
    }
  }
}
