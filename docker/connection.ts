import { type EngineHead, type EngineResponse, ResponseReader } from "./response_reader.ts";
import type { BodySink } from "./whole_body.ts";

/** A larger body is refused, in bytes. Ten thousand containers make 15 to 30 MB. */
const maximumBodyBytes = 32 * 2 ** 20;

/** A call to the engine. */
export interface EngineRequest {
  readonly method: "GET" | "POST" | "DELETE";
  /** With the query, escaped where need be. */
  readonly path: string;
  /** Sent as JSON. */
  readonly body?: unknown;
}

/**
 * One HTTP/1.1 connection to the engine's unix socket. Requests may be sent before the answers to
 * earlier ones have come; answers come in order. After an error it is of no further use.
 * Why not fetch or node:http: docs/decisions/.
 */
export class EngineConnection {
  readonly #connection: Deno.Conn;
  readonly #reader: ResponseReader;
  readonly #signal: AbortSignal;
  readonly #onAbort = () => this.close();

  private constructor(connection: Deno.Conn, signal: AbortSignal) {
    this.#connection = connection;
    this.#reader = new ResponseReader((into) => connection.read(into), maximumBodyBytes);
    this.#signal = signal;
    signal.addEventListener("abort", this.#onAbort, { once: true });
    if (signal.aborted) this.close();
  }

  /**
   * Connects to the socket at `path`. When `signal` is aborted, now or later, the connection is
   * closed, and what waits for an answer fails.
   */
  static async open(path: string, signal: AbortSignal): Promise<EngineConnection> {
    signal.throwIfAborted();
    // This never waits: a unix socket whose queue is full refuses.
    return new EngineConnection(await Deno.connect({ transport: "unix", path }), signal);
  }

  /** Sends requests without waiting for their answers. */
  async send(requests: readonly EngineRequest[]): Promise<void> {
    let bytes = new TextEncoder().encode(requests.map(textOf).join(""));
    while (bytes.length > 0) bytes = bytes.subarray(await this.#connection.write(bytes));
  }

  /** The answer to the oldest request that has none yet. */
  receive(): Promise<EngineResponse> {
    return this.#reader.next();
  }

  /** The head of that answer alone; then its body is to be taken by `pour()`. */
  head(): Promise<EngineHead> {
    return this.#reader.head();
  }

  /** Hands the body of the answer with that head on as it comes; resolves at its end. */
  pour(head: EngineHead, sink: BodySink): Promise<void> {
    return this.#reader.body(head, sink);
  }

  /** Closes the connection; closing it again does nothing. */
  close(): void {
    this.#signal.removeEventListener("abort", this.#onAbort);
    try {
      this.#connection.close();
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
  }
}

function textOf({ method, path, body }: EngineRequest): string {
  const head = `${method} ${path} HTTP/1.1\r\nHost: docker\r\n`;
  if (method === "GET") return `${head}\r\n`;
  const json = body === undefined ? "" : JSON.stringify(body);
  const length = new TextEncoder().encode(json).length;
  return `${head}Content-Type: application/json\r\nContent-Length: ${length}\r\n\r\n${json}`;
}
