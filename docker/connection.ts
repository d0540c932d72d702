import { type EngineResponse, ResponseReader } from "./response_reader.ts";

/** A larger body is refused, in bytes. Ten thousand containers make 15 to 30 MB. */
const maximumBodyBytes = 32 * 2 ** 20;

/**
 * One HTTP/1.1 connection to the engine's unix socket. Requests may be sent before the answers to
 * earlier ones have come; answers come in order. After an error it is of no further use.
 * Why not fetch or node:http: docs/decisions/.
 */
export class EngineConnection {
  readonly #connection: Deno.Conn;
  readonly #reader: ResponseReader;
  readonly #onAbort = () => this.close();
  #deadline: AbortSignal;

  private constructor(connection: Deno.Conn, deadline: AbortSignal) {
    this.#connection = connection;
    this.#reader = new ResponseReader((into) => connection.read(into), maximumBodyBytes);
    this.#deadline = deadline;
    this.setDeadline(deadline);
  }

  /** Connects to the socket at `path`; for the `deadline` see `setDeadline`. */
  static async open(path: string, deadline: AbortSignal): Promise<EngineConnection> {
    deadline.throwIfAborted();
    const aborted = Promise.withResolvers<never>();
    const abort = () => aborted.reject(deadline.reason);
    deadline.addEventListener("abort", abort, { once: true });
    const connecting = Deno.connect({ transport: "unix", path });
    try {
      return new EngineConnection(await Promise.race([connecting, aborted.promise]), deadline);
    } catch (error) {
      // A socket whose queue is full keeps the connect waiting: close what may still come of it.
      connecting.then((connection) => connection.close(), () => {});
      throw error;
    } finally {
      deadline.removeEventListener("abort", abort);
    }
  }

  /**
   * From now on this signal, and no longer the one before, closes the connection; what waits for an
   * answer then fails.
   */
  setDeadline(deadline: AbortSignal): void {
    this.#deadline.removeEventListener("abort", this.#onAbort);
    this.#deadline = deadline;
    deadline.addEventListener("abort", this.#onAbort, { once: true });
    if (deadline.aborted) this.close();
  }

  /** Sends GET requests without waiting for their answers. */
  async sendGets(paths: readonly string[]): Promise<void> {
    const text = paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: docker\r\n\r\n`).join("");
    let bytes = new TextEncoder().encode(text);
    while (bytes.length > 0) bytes = bytes.subarray(await this.#connection.write(bytes));
  }

  /** The answer to the oldest request that has none yet. */
  receive(): Promise<EngineResponse> {
    return this.#reader.next();
  }

  /** Closes the connection; closing it again does nothing. */
  close(): void {
    this.#deadline.removeEventListener("abort", this.#onAbort);
    try {
      this.#connection.close();
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
  }
}
