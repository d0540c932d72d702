/** Listens on a unix socket, and says what it is told to whoever comes, then closes. */
export class SpeakingSocket implements AsyncDisposable {
  /** What the next one is told. */
  words: Uint8Array = new Uint8Array();
  readonly #listener: Deno.UnixListener;
  readonly #serving: Promise<void>;

  constructor(readonly path: string) {
    this.#listener = Deno.listen({ transport: "unix", path });
    this.#serving = this.#serve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#serving;
  }

  async #serve(): Promise<void> {
    for await (const connection of this.#listener) await this.#speak(connection);
  }

  async #speak(connection: Deno.Conn): Promise<void> {
    try {
      const heard = new Uint8Array(4_096);
      await connection.read(heard);
      for (let left = this.words; left.length > 0;) {
        left = left.subarray(await connection.write(left));
      }
      // Closed at once, a socket would take back what has not been read yet.
      await connection.closeWrite();
      while (await connection.read(heard) !== null) { /* until the other end has gone */ }
    } catch (error) {
      if (!(error instanceof Error && "code" in error)) throw error; // It went before.
    } finally {
      connection.close();
    }
  }
}
