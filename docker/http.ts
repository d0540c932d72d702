import { EngineError } from "./errors.ts";

/** Takes a body as it comes. */
export interface BodyHandler {
  /** Throws `EngineError` when so many bytes more would be too many. */
  checkRoom?(more: number): void;
  /** Takes the next bytes, which stay what they are until it returns. */
  append(part: Uint8Array): void;
}

/** Collects bytes in one growing piece: a piece for each part would let tiny parts eat memory. */
export class BodyBuffer implements BodyHandler {
  readonly #maximumBytes: number;
  #bytes = new Uint8Array(16 * 1024);
  #length = 0;

  constructor(maximumBytes = Infinity) {
    this.#maximumBytes = maximumBytes;
  }

  get length(): number {
    return this.#length;
  }

  checkRoom(more: number): void {
    if (this.#length + more <= this.#maximumBytes) return;
    throw new EngineError({ reason: "too-large", maximumBytes: this.#maximumBytes });
  }

  /** Copies `part` to the end. Throws as `checkRoom()`. */
  append(part: Uint8Array): void {
    this.checkRoom(part.length);
    const needed = this.#length + part.length;
    if (needed > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
      larger.set(this.bytes());
      this.#bytes = larger;
    }
    this.#bytes.set(part, this.#length);
    this.#length = needed;
  }

  /** What was appended; valid until the next change. */
  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  clear(): void {
    this.#length = 0;
  }
}

const decoder = new TextDecoder();
const protocol = "HTTP/1.";
const maximumHeadBytes = 32 * 1024;
/** A chunk's size line: 8 hex digits, and room for extensions, which engines do not send. */
const maximumLineBytes = 1024;
const maximumTrailers = 16;

/** What comes before the body of an answer. */
interface EngineHead {
  readonly status: number;
  /** Names in lower case; of a repeated header the last one. */
  readonly headers: ReadonlyMap<string, string>;
}

/** One answer of the engine. */
export interface EngineResponse extends EngineHead {
  readonly body: Uint8Array;
}

/** Fills the front of `into`; returns the number of bytes, or null at the end of the stream. */
export type ReadBytes = (into: Uint8Array<ArrayBuffer>) => Promise<number | null>;

/** Reads HTTP/1.1 answers, one after another, from a stream of bytes. */
export class ResponseReader {
  readonly #readBytes: ReadBytes;
  readonly #maximumBodyBytes: number;
  /** Larger than any head, so that a search for its end never meets a full buffer. */
  readonly #buffer = new Uint8Array(2 * maximumHeadBytes);
  #start = 0;
  #end = 0;

  constructor(readBytes: ReadBytes, maximumBodyBytes: number) {
    this.#readBytes = readBytes;
    this.#maximumBodyBytes = maximumBodyBytes;
  }

  /** The next answer. Throws `EngineError` when it is not HTTP, is cut short, or passes a limit. */
  async next(): Promise<EngineResponse> {
    const head = await this.readHead();
    const body = new BodyBuffer(this.#maximumBodyBytes);
    await this.readBody(head, body);
    return { ...head, body: body.bytes() };
  }

  /** The head of the next answer; its body must be read before anything else. Throws as `next()`. */
  async readHead(): Promise<EngineHead> {
    await this.#expectProtocol();
    const [statusLine, ...headerLines] = (await this.#readUntil("\r\n\r\n", maximumHeadBytes))
      .split("\r\n");
    const status = /^HTTP\/1\.[01] ([1-5]\d\d)(?: |$)/.exec(statusLine!)?.[1];
    if (status === undefined) throw notHttp();
    return { status: Number(status), headers: new Map(headerLines.map(parseHeader)) };
  }

  /** Passes the body of the answer with that head to `handler` as it comes. Throws as `next()`. */
  async readBody({ status, headers }: EngineHead, handler: BodyHandler): Promise<void> {
    const coding = headers.get("transfer-encoding");
    const length = headers.get("content-length");
    if (status < 200 || status === 204 || status === 304) return;
    if (coding !== undefined) {
      if (coding.toLowerCase() !== "chunked") throw malformed(`transfer encoding ${coding}`);
      await this.#copyChunks(handler);
    } else if (length !== undefined) {
      if (!/^\d{1,15}$/.test(length)) throw malformed(`content length ${length}`);
      handler.checkRoom?.(Number(length));
      await this.#copy(Number(length), handler);
    } else {
      while (this.#end > this.#start || await this.#fill()) {
        await this.#copy(this.#end - this.#start, handler);
      }
    }
  }

  /** Judges the first bytes as they come: of what is not HTTP, a head's end may never come. */
  async #expectProtocol(): Promise<void> {
    for (let index = 0; index < protocol.length; index++) {
      while (this.#start + index === this.#end) {
        await this.#fillOrFail();
      }
      if (this.#buffer[this.#start + index] !== protocol.charCodeAt(index)) throw notHttp();
    }
  }

  async #copyChunks(handler: BodyHandler): Promise<void> {
    for (;;) {
      const line = await this.#readUntil("\r\n", maximumLineBytes);
      const digits = /^([0-9a-fA-F]{1,8})(?:$|[ \t;])/.exec(line)?.[1];
      if (digits === undefined) throw malformed("a chunk without a size");
      const size = parseInt(digits, 16);
      if (size === 0) break;
      handler.checkRoom?.(size);
      await this.#copy(size, handler);
      const rest = await this.#readUntil("\r\n", maximumLineBytes);
      if (rest !== "") throw malformed("a chunk too long");
    }
    // Trailers are read and dropped, up to the empty line.
    for (let lines = 0; await this.#readUntil("\r\n", maximumLineBytes) !== ""; lines++) {
      if (lines === maximumTrailers) throw malformed("too many trailers");
    }
  }

  /** Passes the next `length` bytes of the stream to the handler. */
  async #copy(length: number, handler: BodyHandler): Promise<void> {
    for (let left = length; left > 0;) {
      if (this.#start === this.#end) await this.#fillOrFail();
      const part = this.#buffer.subarray(this.#start, Math.min(this.#end, this.#start + left));
      handler.append(part);
      left -= part.length;
      this.#start += part.length;
    }
  }

  /** The text before `mark`, which is consumed too. */
  async #readUntil(mark: "\r\n" | "\r\n\r\n", limit: number): Promise<string> {
    for (let searched = 0;;) {
      const last = Math.min(this.#end - mark.length, this.#start + limit);
      for (let at = this.#start + searched; at <= last; at++) {
        if (!this.#isAt(mark, at)) continue;
        const text = decoder.decode(this.#buffer.subarray(this.#start, at));
        this.#start = at + mark.length;
        return text;
      }
      searched = Math.max(0, this.#end - this.#start - mark.length + 1);
      if (searched > limit) throw malformed(`a header or line of more than ${limit} bytes`);
      await this.#fillOrFail();
    }
  }

  #isAt(mark: string, at: number): boolean {
    for (let index = 0; index < mark.length; index++) {
      if (this.#buffer[at + index] !== mark.charCodeAt(index)) return false;
    }
    return true;
  }

  async #fillOrFail(): Promise<void> {
    if (!await this.#fill()) throw new EngineError({ reason: "answer-cut" });
  }

  /** Reads more into the buffer; false at the end of the stream. */
  async #fill(): Promise<boolean> {
    this.#buffer.copyWithin(0, this.#start, this.#end);
    this.#end -= this.#start;
    this.#start = 0;
    const count = await this.#readBytes(this.#buffer.subarray(this.#end));
    this.#end += count ?? 0;
    return count !== null;
  }
}

function parseHeader(line: string): [string, string] {
  const colon = line.indexOf(":");
  if (colon < 1) throw malformed("a header without a name");
  return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
}

function notHttp(): EngineError {
  return new EngineError({ reason: "not-http" });
}

function malformed(detail: string): EngineError {
  return new EngineError({ reason: "other", detail });
}

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

/** A call without its query, as messages name it. */
export function callName({ method, path }: EngineRequest): string {
  return `${method} ${path.split("?")[0]}`;
}

/**
 * One HTTP/1.1 connection to the engine's unix socket. Requests may be sent before the answers to
 * earlier ones have come; answers come in order. After an error it cannot be used again.
 * Why not fetch or node:http: docs/decisions/.
 */
export class EngineConnection {
  readonly #connection: Deno.Conn;
  readonly #reader: ResponseReader;
  readonly #signal: AbortSignal;
  readonly #timeouts: TimeoutSet;
  readonly #runningTimeouts = new Set<() => void>();
  readonly #onAbort = () => this.abort(this.#signal.reason);
  #aborted: { readonly reason: unknown } | null = null;

  private constructor(connection: Deno.Conn, signal: AbortSignal, timeouts: TimeoutSet) {
    this.#connection = connection;
    this.#reader = new ResponseReader((into) => connection.read(into), maximumBodyBytes);
    this.#signal = signal;
    this.#timeouts = timeouts;
    signal.addEventListener("abort", this.#onAbort, { once: true });
    if (signal.aborted) this.#onAbort();
  }

  /** Connects to the socket at `path`. Once `signal` is aborted, the connection is, too. */
  static async open(
    path: string,
    signal: AbortSignal,
    timeouts: TimeoutSet = new TimeoutSet(),
  ): Promise<EngineConnection> {
    signal.throwIfAborted();
    // This never waits: a unix socket whose queue is full refuses.
    const connection = await Deno.connect({ transport: "unix", path });
    return new EngineConnection(connection, signal, timeouts);
  }

  /** Sends requests without waiting for their answers. */
  async send(requests: readonly EngineRequest[]): Promise<void> {
    let bytes = new TextEncoder().encode(requests.map(textOf).join(""));
    while (bytes.length > 0) {
      bytes = bytes.subarray(await this.#unlessAborted(this.#connection.write(bytes)));
    }
  }

  /** The answer to the oldest request that has none yet. */
  receive(): Promise<EngineResponse> {
    return this.#unlessAborted(this.#reader.next());
  }

  /** The head of that answer alone; then its body must be taken by `readBodyInto()`. */
  receiveHead(): Promise<EngineHead> {
    return this.#unlessAborted(this.#reader.readHead());
  }

  /** Passes the body of the answer with that head to `handler` as it comes; resolves at its end. */
  readBodyInto(head: EngineHead, handler: BodyHandler): Promise<void> {
    return this.#unlessAborted(this.#reader.readBody(head, handler));
  }

  /** Aborts the connection with a timeout after `ms`, unless the returned function is called first. */
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

  /** Closes the connection; what waits for an answer fails with `reason`. */
  abort(reason: unknown): void {
    this.#aborted ??= { reason };
    this.close();
  }

  /** Closes the connection; closing it again does nothing. */
  close(): void {
    this.#signal.removeEventListener("abort", this.#onAbort);
    for (const stopTimeout of this.#runningTimeouts) stopTimeout();
    this.#runningTimeouts.clear();
    try {
      this.#connection.close();
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
  }

  async #unlessAborted<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      throw this.#aborted ? this.#aborted.reason : error;
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

/** The longest wait at a time, in milliseconds. */
const stepMs = 250;
/** A process that wakes up so much too late was stopped, and has read nothing meanwhile. */
const frozenMs = 1_000;

/**
 * Timeouts that can be stopped. `AbortSignal.timeout` costs a hundredth of what the first `setTimeout`
 * adds to the start of the program (6 ms), but cannot be stopped and stays in memory until it is due:
 * so a set has one at a time, and it is short.
 */
export class TimeoutSet {
  readonly #timeouts = new Set<{ dueAt: number; readonly onDue: () => void }>();
  #isWaiting = false;

  /**
   * Calls `onDue` after `ms`, at most 250 ms late; returns a function that stops the timeout. Time in
   * which the process was stopped does not count, as answers that came meanwhile are not read yet.
   */
  start(ms: number, onDue: () => void): () => void {
    const timeout = { dueAt: performance.now() + ms, onDue };
    this.#timeouts.add(timeout);
    this.#wait();
    return () => this.#timeouts.delete(timeout);
  }

  #wait(): void {
    if (this.#isWaiting || this.#timeouts.size === 0) return;
    this.#isWaiting = true;
    const firstDueAt = Math.min(...[...this.#timeouts].map(({ dueAt }) => dueAt));
    const leftMs = Math.ceil(firstDueAt - performance.now());
    const waitMs = Math.max(0, Math.min(stepMs, leftMs));
    const wakesAt = performance.now() + waitMs;
    AbortSignal.timeout(waitMs).addEventListener("abort", () => {
      this.#isWaiting = false;
      const lateMs = performance.now() - wakesAt;
      for (const timeout of this.#timeouts) {
        if (lateMs > frozenMs) timeout.dueAt += lateMs;
        if (timeout.dueAt > performance.now()) continue;
        this.#timeouts.delete(timeout);
        timeout.onDue();
      }
      this.#wait();
    });
  }
}
