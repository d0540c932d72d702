import { type EngineResponse, ResponseReader } from "./response_reader.ts";

/**
 * A body larger than this is refused, in bytes. Ten thousand containers make 15 to 30 MB.
 */
export const maximumBodyBytes = 32 * 2 ** 20;

/**
 * One HTTP/1.1 connection to the engine's unix socket. Requests may be sent before the answers to
 * earlier ones have come; answers come in order. After an error it is of no further use.
 * Why not fetch or node:http: docs/decisions/.
 */
export class EngineConnection {
  readonly #connection: Deno.Conn;
  readonly #reader: ResponseReader;

  private constructor(connection: Deno.Conn) {
    this.#connection = connection;
    this.#reader = new ResponseReader(
      (into) => connection.read(into),
      maximumBodyBytes,
    );
  }

  /**
   * Connects to the socket at `path`. When `signal` is aborted, now or later, the connection is closed
   * and what was waiting for it fails.
   */
  static async open(
    path: string,
    signal: AbortSignal,
  ): Promise<EngineConnection> {
    signal.throwIfAborted();
    const aborted = Promise.withResolvers<never>();
    const abort = () => aborted.reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    const connecting = Deno.connect({ transport: "unix", path });
    try {
      const engine = new EngineConnection(
        await Promise.race([connecting, aborted.promise]),
      );
      signal.addEventListener("abort", () => engine.close(), { once: true });
      return engine;
    } catch (error) {
      // A socket whose queue is full keeps the connect waiting: close what may still come of it.
      connecting.then((connection) => connection.close(), () => {});
      throw error;
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  /** Sends GET requests without waiting for their answers. */
  async sendGets(paths: readonly string[]): Promise<void> {
    const text = paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: docker\r\n\r\n`).join("");
    let bytes = new TextEncoder().encode(text);
    while (bytes.length > 0) {
      bytes = bytes.subarray(await this.#connection.write(bytes));
    }
  }

  /** The answer to the oldest request that has none yet. */
  receive(): Promise<EngineResponse> {
    return this.#reader.next();
  }

  /** Closes the connection; closing it again does nothing. */
  close(): void {
    try {
      this.#connection.close();
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
  }
}
