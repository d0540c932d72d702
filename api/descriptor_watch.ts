/** How often to look, in milliseconds. */
const lookIntervalMs = 1_000;

/**
 * Notices that the process has run out of file descriptors. A listener of the runtime that could not
 * accept a connection for that reason never accepts one again, and nobody is told.
 */
export class DescriptorWatch {
  readonly #exhausted = Promise.withResolvers<void>();
  #timer: ReturnType<typeof setInterval> | undefined;

  /** Resolves when there was none left. */
  get exhausted(): Promise<void> {
    return this.#exhausted.promise;
  }

  /** Looks from now on, until it is stopped. */
  begin(): void {
    this.#timer = setInterval(() => {
      try {
        Deno.openSync("/dev/null").close();
      } catch (error) {
        const { code } = error as { code?: string };
        if (code === "EMFILE" || code === "ENFILE") this.#exhausted.resolve();
      }
    }, lookIntervalMs);
  }

  /** Looks no more. */
  stop(): void {
    clearInterval(this.#timer);
  }
}
