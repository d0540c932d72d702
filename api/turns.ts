import { ClientGone } from "./body.ts";

/** Lets those who want to change the host do so one after the other, in the order they came. */
export class Turns {
  #last: Promise<void> = Promise.resolve();

  /**
   * Waits for a turn; answers the function that ends it. Throws `ClientGone` when `gone` is aborted
   * before it has come.
   */
  async take(gone: AbortSignal): Promise<() => void> {
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const before = this.#last;
    this.#last = before.then(() => ended);
    const { promise: left, resolve: leave } = Promise.withResolvers<void>();
    const onLeave = () => leave();
    gone.addEventListener("abort", onLeave, { once: true });
    if (gone.aborted) leave();
    await Promise.race([before, left]);
    gone.removeEventListener("abort", onLeave);
    if (!gone.aborted) return end;
    end();
    throw new ClientGone();
  }
}
