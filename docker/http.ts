import { type ReadBytes, type ResponseHead, ResponseReader } from "../host/http.ts";
import type { Log } from "../host/log.ts";
import { TimeoutSet } from "../host/timeouts.ts";
import { EngineError, readFailure, statusError } from "./errors.ts";

/** Limits for reading the body of a refusal, in bytes and milliseconds. */
const maximumRefusalBytes = 4 * 1024;
const refusalTimeoutMs = 2_000;
/** Limit for a body, in bytes; a list of ten thousand containers has 15 to 30 MB. */
const maximumBodyBytes = 32 * 2 ** 20;

/** A call to the engine. */
export interface EngineRequest {
  readonly method: "GET" | "POST" | "DELETE";
  /** Path and query, already escaped. */
  readonly path: string;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Hides in the engine's message what must not be shown. */
  readonly hide?: (message: string) => string;
  /** Whether the answer has no end but that of the connection, and comes without chunks. */
  readonly isStream?: boolean;
}

/** Names a call in messages: without its query. */
export function callName({ method, path }: EngineRequest): string {
  return `${method} ${path.split("?")[0]}`;
}

/** What a connection may have. */
interface ConnectionOptions {
  readonly timeouts?: TimeoutSet | undefined;
  /** Limit for the head of an answer, in bytes. */
  readonly maximumHeadBytes?: number | undefined;
  /** Gets a line of level debug for each answer. */
  readonly log?: Log | undefined;
}

/**
 * An HTTP/1.1 connection to the engine's unix socket, with pipelining: several requests may wait for
 * their answers. Unusable after an error. Why not fetch or node:http: docs/decisions/.
 */
export class EngineConnection {
  /** Reads the answers, in the order of their requests. Its methods throw why it was aborted. */
  readonly answers: ResponseReader;
  readonly #connection: Deno.Conn;
  readonly #signal: AbortSignal;
  readonly #timeouts: TimeoutSet;
  readonly #runningTimeouts = new Set<() => void>();
  readonly #onAbort = () => this.abort(this.#signal.reason);
  readonly #log: Log | undefined;
  /** Requests without an answer, the oldest first; only for the log. */
  readonly #unanswered: { readonly request: EngineRequest; readonly sentAt: number }[] = [];
  #aborted: { readonly reason: unknown } | null = null;

  private constructor(
    connection: Deno.Conn,
    signal: AbortSignal,
    { timeouts = new TimeoutSet(), maximumHeadBytes, log }: ConnectionOptions,
  ) {
    this.#connection = connection;
    const read: ReadBytes = (into) => this.#read(into);
    const onHead = (status: number) => this.#logCall(status);
    this.answers = new ResponseReader(read, maximumBodyBytes, maximumHeadBytes, onHead);
    this.#signal = signal;
    this.#timeouts = timeouts;
    this.#log = log;
    signal.addEventListener("abort", this.#onAbort, { once: true });
    if (signal.aborted) this.#onAbort();
  }

  /** Connects to the socket at `path`. Aborts the connection when `signal` is aborted. */
  static async open(
    path: string,
    signal: AbortSignal,
    options: ConnectionOptions = {},
  ): Promise<EngineConnection> {
    signal.throwIfAborted();
    // Never waits: a unix socket with a full queue fails at once.
    const connection = await Deno.connect({ transport: "unix", path });
    return new EngineConnection(connection, signal, options);
  }

  /** Sends requests without waiting for their answers. */
  async send(requests: readonly EngineRequest[]): Promise<void> {
    if (this.#log) {
      const sentAt = performance.now();
      for (const request of requests) this.#unanswered.push({ request, sentAt });
    }
    let bytes = new TextEncoder().encode(requests.map(textOf).join(""));
    while (bytes.length > 0) {
      bytes = bytes.subarray(await this.#unlessAborted(this.#connection.write(bytes)));
    }
  }

  /**
   * Sends a request whose answer is a stream for `answers.readRest()`; returns its headers. Throws
   * `EngineError` for an answer that is none; `name` names the call in its message.
   */
  async openStream(
    request: Pick<EngineRequest, "method" | "path">,
    name = callName(request),
  ): Promise<ResponseHead["headers"]> {
    await this.send([{ ...request, isStream: true }]);
    const { status, headers } = await this.answers.readHead().catch((cause) => {
      throw new EngineError(readFailure(cause), "", { cause });
    });
    if (status !== 200) {
      this.abortAfter(refusalTimeoutMs);
      const body = new Uint8Array(maximumRefusalBytes);
      // The status is enough if the body is cut or late.
      const length = await this.answers.readRest(body).catch(() => null);
      throw statusError({ status, body: body.subarray(0, length ?? 0) }, name);
    }
    if (headers.has("transfer-encoding")) throw new EngineError({ reason: "not-http" });
    return headers;
  }

  /** Aborts the connection after `ms`; the returned function stops this timeout. */
  abortAfter(ms: number): () => void {
    const stopTimeout = this.#timeouts.start(ms, () => {
      this.abort(new EngineError({ reason: "timeout", afterMs: ms }));
    });
    this.#runningTimeouts.add(stopTimeout);
    return () => {
      stopTimeout();
      this.#runningTimeouts.delete(stopTimeout);
    };
  }

  /** Closes the connection; pending reads and writes fail with `reason`. */
  abort(reason: unknown): void {
    this.#aborted ??= { reason };
    this.close();
  }

  /** Closes the connection; closing it again does nothing. */
  close(): void {
    this.#signal.removeEventListener("abort", this.#onAbort);
    // A timeout would keep the connection and its buffer in memory.
    for (const stopTimeout of this.#runningTimeouts) stopTimeout();
    this.#runningTimeouts.clear();
    while (this.#unanswered.length > 0) this.#logCall("none");
    try {
      this.#connection.close();
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
  }

  #read(into: Uint8Array<ArrayBuffer>): Promise<number | null> {
    // Into an array without room, the runtime reads nothing, also when the connection is closed.
    if (this.#aborted) return Promise.reject(this.#aborted.reason);
    return this.#unlessAborted(this.#connection.read(into));
  }

  /** Logs the oldest request without an answer, and how long it has waited. */
  #logCall(status: number | "none"): void {
    const call = this.#unanswered.shift();
    if (!call) return;
    const { request: { method, path }, sentAt } = call;
    const ms = Math.round(performance.now() - sentAt);
    this.#log?.("debug", "Docker call", { method, path, status, ms });
  }

  async #unlessAborted<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      throw this.#aborted ? this.#aborted.reason : error;
    }
  }
}

function textOf({ method, path, body, isStream }: EngineRequest): string {
  // HTTP/1.0 has no chunks; a log would have one for each line, which take most of the time.
  const head = `${method} ${path} HTTP/1.${isStream ? 0 : 1}\r\nHost: docker\r\n`;
  if (method === "GET") return `${head}\r\n`;
  const json = body === undefined ? "" : JSON.stringify(body);
  const length = new TextEncoder().encode(json).length;
  return `${head}Content-Type: application/json\r\nContent-Length: ${length}\r\n\r\n${json}`;
}
