const ifItLasts = "if that lasts, restart the engine";
const isItThere = "is it the engine that listens there?";

/** The engine answered with an error. */
export class EngineError extends Error {
  override readonly name = "EngineError";

  constructor(readonly status: number, message: string) {
    super(message);
  }
}

/** Throws `EngineError` when `call` was answered with any status but success or "it is so already". */
export function checkStatus({ status, body }: EngineResponse, call: string): void {
  if ((status >= 200 && status < 300) || status === 304) return;
  const text = new TextDecoder().decode(body);
  throw new EngineError(status, `${call} was answered with ${status}${reason(text)}`);
}

/** The answer to `call` as JSON. Throws as `checkStatus`, and `Error` for what is no JSON. */
export function parseAnswer(answer: EngineResponse, call: string): unknown {
  checkStatus(answer, call);
  try {
    return JSON.parse(new TextDecoder().decode(answer.body));
  } catch {
    throw new Error(`${call} was answered with something that is not JSON; ${isItThere}`);
  }
}

/** The engine's own words for a failure: `{"message": …}`. */
function reason(text: string): string {
  try {
    const { message } = JSON.parse(text);
    const words = typeof message === "string" ? message.trim() : "";
    return words && ` (${words.slice(0, 240).toWellFormed()})`;
  } catch {
    return "";
  }
}

/** The error for an engine that has let its time pass. */
export function noAnswer(timeoutMs: number): Error {
  return new Error(`no answer within ${timeoutMs / 1000} s; ${ifItLasts}`);
}

/** Why the engine gave no answer, in words for an operator. */
export function explain(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) {
    return "no such socket; is the engine installed, and running?";
  }
  if (error instanceof Deno.errors.ConnectionRefused) {
    return "nobody listens; start the engine";
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return "permission denied; run as root, or as a member of the socket's group";
  }
  if (error instanceof Deno.errors.WouldBlock) {
    return "its queue is full; the engine hangs, restart it";
  }
  if (error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.BrokenPipe) {
    return "the engine cut the connection; its log may tell why";
  }
  if (error instanceof DOMException && error.name === "TimeoutError") {
    return `no answer in time; ${ifItLasts}`;
  }
  return error instanceof Error ? error.message : String(error);
}

/** Takes a body as it comes. */
export interface BodyHandler {
  /** Throws `Error` when so many bytes more would be too many. */
  checkRoom(more: number): void;
  /** Takes the next bytes, which stay what they are until it returns. */
  append(part: Uint8Array): void;
}

/** A body of unknown length, in one growing piece: a piece a chunk would let tiny chunks eat memory. */
export class BodyBuffer implements BodyHandler {
  readonly #maximumBytes: number;
  #bytes = new Uint8Array(16 * 1024);
  #length = 0;

  constructor(maximumBytes: number) {
    this.#maximumBytes = maximumBytes;
  }

  checkRoom(more: number): void {
    if (this.#length + more <= this.#maximumBytes) return;
    throw new Error(
      `the answer is larger than ${
        this.#maximumBytes / 2 ** 20
      } MiB; remove containers that nobody needs`,
    );
  }

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

  /** What has come. */
  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
}

const decoder = new TextDecoder();
const protocol = "HTTP/1.";
const maximumHeadBytes = 32 * 1024;
/** A chunk's size line: 8 hex digits, and room for the extensions that nobody sends. */
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

/** Fills the front of `into`; answers the number of bytes, or null at the end of the stream. */
export type Read = (into: Uint8Array<ArrayBuffer>) => Promise<number | null>;

/** Reads HTTP/1.1 answers, one after another, from a stream of bytes. */
export class ResponseReader {
  readonly #readStream: Read;
  readonly #maximumBodyBytes: number;
  /** Larger than any head, so that a search for its end never meets a full buffer. */
  readonly #buffer = new Uint8Array(2 * maximumHeadBytes);
  #start = 0;
  #end = 0;

  constructor(read: Read, maximumBodyBytes: number) {
    this.#readStream = read;
    this.#maximumBodyBytes = maximumBodyBytes;
  }

  /** The next answer. Throws `Error` when it is not HTTP, is cut short, or passes a limit. */
  async next(): Promise<EngineResponse> {
    const head = await this.head();
    const body = new BodyBuffer(this.#maximumBodyBytes);
    await this.body(head, body);
    return { ...head, body: body.bytes() };
  }

  /** The head of the next answer, whose body is to be read before anything else; throws as `next()`. */
  async head(): Promise<EngineHead> {
    await this.#expectProtocol();
    const [statusLine, ...headerLines] = (await this.#until("\r\n\r\n", maximumHeadBytes))
      .split("\r\n");
    const status = /^HTTP\/1\.[01] ([1-5]\d\d)(?: |$)/.exec(statusLine!)?.[1];
    if (status === undefined) throw notHttp();
    return { status: Number(status), headers: new Map(headerLines.map(parseHeader)) };
  }

  /** Hands the body of the answer with that head on as it comes, to its end; throws as `next()`. */
  async body({ status, headers }: EngineHead, sink: BodyHandler): Promise<void> {
    const coding = headers.get("transfer-encoding");
    const length = headers.get("content-length");
    if (status < 200 || status === 204 || status === 304) return;
    if (coding !== undefined) {
      if (coding.toLowerCase() !== "chunked") {
        throw new Error(`transfer encoding ${coding}`);
      }
      await this.#chunks(sink);
    } else if (length !== undefined) {
      if (!/^\d{1,15}$/.test(length)) {
        throw new Error(`content length ${length}`);
      }
      sink.checkRoom(Number(length));
      await this.#copy(Number(length), sink);
    } else {
      while (this.#end > this.#start || await this.#fill()) {
        await this.#copy(this.#end - this.#start, sink);
      }
    }
  }

  /** Judges the first bytes as they come: of what is not HTTP, a head's end may never come. */
  async #expectProtocol(): Promise<void> {
    for (let index = 0; index < protocol.length; index++) {
      while (this.#start + index === this.#end) {
        if (!await this.#fill()) throw cutShort();
      }
      if (this.#buffer[this.#start + index] !== protocol.charCodeAt(index)) throw notHttp();
    }
  }

  async #chunks(sink: BodyHandler): Promise<void> {
    for (;;) {
      const line = await this.#until("\r\n", maximumLineBytes);
      const digits = /^([0-9a-fA-F]{1,8})(?:$|[ \t;])/.exec(line)?.[1];
      if (digits === undefined) throw new Error("a chunk without a size");
      const size = parseInt(digits, 16);
      if (size === 0) break;
      sink.checkRoom(size);
      await this.#copy(size, sink);
      if (await this.#until("\r\n", maximumLineBytes) !== "") {
        throw new Error("a chunk too long");
      }
    }
    // Trailers are read and dropped, up to the empty line.
    for (
      let lines = 0;
      await this.#until("\r\n", maximumLineBytes) !== "";
      lines++
    ) {
      if (lines === maximumTrailers) throw new Error("too many trailers");
    }
  }

  /** Moves the next `length` bytes of the stream into the sink. */
  async #copy(length: number, sink: BodyHandler): Promise<void> {
    for (let left = length; left > 0;) {
      if (this.#start === this.#end && !await this.#fill()) throw cutShort();
      const part = this.#buffer.subarray(
        this.#start,
        Math.min(this.#end, this.#start + left),
      );
      sink.append(part);
      left -= part.length;
      this.#start += part.length;
    }
  }

  /** The text before `mark`, which is consumed too. */
  async #until(mark: "\r\n" | "\r\n\r\n", limit: number): Promise<string> {
    for (let searched = 0;;) {
      const last = Math.min(this.#end - mark.length, this.#start + limit);
      for (let at = this.#start + searched; at <= last; at++) {
        if (!this.#isAt(mark, at)) continue;
        const text = decoder.decode(this.#buffer.subarray(this.#start, at));
        this.#start = at + mark.length;
        return text;
      }
      searched = Math.max(0, this.#end - this.#start - mark.length + 1);
      if (searched > limit) {
        throw new Error(`a header or line of more than ${limit} bytes`);
      }
      if (!await this.#fill()) throw cutShort();
    }
  }

  #isAt(mark: string, at: number): boolean {
    for (let index = 0; index < mark.length; index++) {
      if (this.#buffer[at + index] !== mark.charCodeAt(index)) return false;
    }
    return true;
  }

  /** Reads more into the buffer; false at the end of the stream. */
  async #fill(): Promise<boolean> {
    this.#buffer.copyWithin(0, this.#start, this.#end);
    this.#end -= this.#start;
    this.#start = 0;
    const count = await this.#readStream(this.#buffer.subarray(this.#end));
    this.#end += count ?? 0;
    return count !== null;
  }
}

function parseHeader(line: string): [string, string] {
  const colon = line.indexOf(":");
  if (colon < 1) throw new Error("a header without a name");
  return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
}

function notHttp(): Error {
  return new Error("the answer is not HTTP; is it the engine that listens there?");
}

function cutShort(): Error {
  return new Error(
    "the connection closed in the middle of an answer; the engine's log may tell why",
  );
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
  readBodyInto(head: EngineHead, sink: BodyHandler): Promise<void> {
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

/** The least that a set of timers waits at a time, in milliseconds. */
const stepMs = 250;
/** Who wakes up so much too late was not running, and has not listened either. */
const frozenMs = 1_000;

/**
 * Timers that can be called off. They are made of `AbortSignal.timeout`, which costs a hundredth of
 * what the first `setTimeout` adds to the start of the program (6 ms), but cannot be called off and
 * stays in memory until its time has come: so there is one at a time, for all timers of a set, and
 * it is short.
 */
export class TimeoutSet {
  readonly #timers = new Set<{ dueAt: number; readonly onDue: () => void }>();
  #isWaiting = false;

  /**
   * Calls `onDue` after `ms`, at most 250 ms late; the answer is a function that calls it off. Time in
   * which the process was stopped does not count: what came meanwhile has not been read yet.
   */
  start(ms: number, onDue: () => void): () => void {
    const timer = { dueAt: performance.now() + ms, onDue };
    this.#timers.add(timer);
    this.#wait();
    return () => this.#timers.delete(timer);
  }

  #wait(): void {
    if (this.#isWaiting || this.#timers.size === 0) return;
    this.#isWaiting = true;
    const firstDueAt = Math.min(...[...this.#timers].map(({ dueAt }) => dueAt));
    const leftMs = Math.ceil(firstDueAt - performance.now());
    const waitMs = Math.max(0, Math.min(stepMs, leftMs));
    const wakesAt = performance.now() + waitMs;
    AbortSignal.timeout(waitMs).addEventListener("abort", () => {
      this.#isWaiting = false;
      const lateMs = performance.now() - wakesAt;
      for (const timer of this.#timers) {
        if (lateMs > frozenMs) timer.dueAt += lateMs;
        if (timer.dueAt > performance.now()) continue;
        this.#timers.delete(timer);
        timer.onDue();
      }
      this.#wait();
    });
  }
}
