import type { Log } from "../host/log.ts";
import { EngineError, statusError } from "./errors.ts";

/** Collects bytes in one growing buffer; a buffer for each part would waste memory on tiny parts. */
export class BodyBuffer {
  #bytes = new Uint8Array(16 * 1024);
  #length = 0;

  constructor(readonly maximumBytes = Infinity) {}

  get length(): number {
    return this.#length;
  }

  /** Throws `EngineError` when `more` bytes would exceed the limit. */
  checkRoom(more: number): void {
    if (this.#length + more <= this.maximumBytes) return;
    throw new EngineError({ reason: "too-large", maximumBytes: this.maximumBytes });
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

  /** The appended bytes; valid until the next change. */
  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  clear(): void {
    this.#length = 0;
  }
}

/** One character for each byte. */
const decoder = new TextDecoder("latin1");
const protocol = "HTTP/1.";
/** Limit for the line before a chunk: its size, and extensions, which engines do not send. */
const maximumLineBytes = 1024;

/** Status and headers of an answer. */
interface EngineHead {
  readonly status: number;
  /** Names in lower case; the last value of a repeated header. */
  readonly headers: ReadonlyMap<string, string>;
  /** Whether no further answer comes on its connection. */
  readonly isLast: boolean;
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
  readonly #onHead: (status: number) => void;
  readonly #maximumBodyBytes: number;
  /** Larger than any head, so that it is never full while the end of a head is searched. */
  readonly #buffer: Uint8Array<ArrayBuffer>;
  readonly #maximumHeadBytes: number;
  #start = 0;
  #end = 0;

  /** `onHead` gets the status of each answer. */
  constructor(
    readBytes: ReadBytes,
    maximumBodyBytes: number,
    maximumHeadBytes = 32 * 1024,
    onHead: (status: number) => void = () => {},
  ) {
    this.#readBytes = readBytes;
    this.#onHead = onHead;
    this.#maximumHeadBytes = maximumHeadBytes;
    this.#buffer = new Uint8Array(2 * maximumHeadBytes);
    this.#maximumBodyBytes = maximumBodyBytes;
  }

  /** Reads an answer. Throws `EngineError` when it is not HTTP, incomplete or over a limit. */
  async next(): Promise<EngineResponse> {
    const head = await this.readHead();
    const body = new BodyBuffer(this.#maximumBodyBytes);
    await this.#readBody(head, body);
    return { ...head, body: body.bytes() };
  }

  /** Reads the head of an answer, after informational ones (1xx). Throws like `next()`. */
  async readHead(): Promise<EngineHead> {
    for (;;) {
      const head = parseHead(await this.#readUntil("\r\n\r\n", this.#maximumHeadBytes, protocol));
      if (head.status < 200) continue;
      this.#onHead(head.status);
      return head;
    }
  }

  async #readBody({ status, headers }: EngineHead, body: BodyBuffer): Promise<void> {
    const coding = headers.get("transfer-encoding");
    const length = headers.get("content-length");
    if (isBodiless(status)) return;
    if (coding !== undefined) {
      if (coding.toLowerCase() !== "chunked") throw malformed(`transfer encoding ${coding}`);
      await this.#copyChunks(body);
    } else if (length !== undefined) {
      if (!/^\d{1,15}$/.test(length)) throw malformed(`content length ${length}`);
      body.checkRoom(Number(length));
      await this.#copy(Number(length), body);
    } else {
      while (this.#end > this.#start || await this.#fill()) {
        await this.#copy(this.#end - this.#start, body);
      }
    }
  }

  /** Reads what comes next of a body without a length and without chunks; null at its end. */
  readRest(into: Uint8Array<ArrayBuffer>): Promise<number | null> {
    if (this.#start === this.#end) return this.#readBytes(into);
    const part = this.#buffer.subarray(this.#start, Math.min(this.#end, this.#start + into.length));
    into.set(part);
    this.#start += part.length;
    return Promise.resolve(part.length);
  }

  async #copyChunks(body: BodyBuffer): Promise<void> {
    for (let size = Infinity; size > 0;) {
      const line = await this.#readUntil("\r\n", maximumLineBytes);
      const digits = /^([0-9a-fA-F]{1,8})(?:$|[ \t;])/.exec(line)?.[1];
      if (digits === undefined) throw malformed("a chunk without a size");
      size = parseInt(digits, 16);
      body.checkRoom(size);
      await this.#copy(size, body);
      // An engine sends no trailers after the last one, either.
      const rest = await this.#readUntil("\r\n", maximumLineBytes);
      if (rest !== "") throw malformed("a chunk too long");
    }
  }

  async #copy(length: number, body: BodyBuffer): Promise<void> {
    for (let left = length; left > 0;) {
      if (this.#start === this.#end) await this.#fillOrFail();
      const part = this.#buffer.subarray(this.#start, Math.min(this.#end, this.#start + left));
      body.append(part);
      left -= part.length;
      this.#start += part.length;
    }
  }

  /** Returns the text before `mark`, and skips `mark`. Fails at once if it does not begin with `start`. */
  async #readUntil(mark: "\r\n" | "\r\n\r\n", limit: number, start = ""): Promise<string> {
    for (let text = "";;) {
      const end = Math.min(this.#end, this.#start + limit + mark.length);
      text += decoder.decode(this.#buffer.subarray(this.#start + text.length, end));
      if (!start.startsWith(text.slice(0, start.length))) throw notHttp();
      const at = text.indexOf(mark);
      if (at >= 0) {
        this.#start += at + mark.length;
        return text.slice(0, at);
      }
      if (text.length === limit + mark.length) {
        throw malformed(`a header or line of more than ${limit} bytes`);
      }
      await this.#fillOrFail();
    }
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

function parseHead(text: string): EngineHead {
  const [statusLine, ...headerLines] = text.split("\r\n");
  const [, minor, digits] = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: |$)/.exec(statusLine!) ?? [];
  if (digits === undefined) throw notHttp();
  const status = Number(digits);
  const fields = headerLines.map(parseHeader);
  const headers = new Map(fields);
  const options = fields.filter(([name]) => name === "connection")
    .flatMap(([, value]) => value.toLowerCase().split(",").map((it) => it.trim()));
  const isKept = minor === "1" ? !options.includes("close") : options.includes("keep-alive");
  const hasEnd = isBodiless(status) || headers.has("transfer-encoding") ||
    headers.has("content-length");
  return { status, headers, isLast: !isKept || !hasEnd };
}

function isBodiless(status: number): boolean {
  return status === 204 || status === 304;
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
  ): Promise<EngineHead["headers"]> {
    await this.send([{ ...request, isStream: true }]);
    const { status, headers } = await this.answers.readHead();
    if (status !== 200) {
      this.abortAfter(refusalTimeoutMs);
      const body = new Uint8Array(maximumRefusalBytes);
      // The status is enough if the body is cut or late.
      const length = await this.answers.readRest(body).catch(() => null);
      throw statusError({ status, body: body.subarray(0, length ?? 0) }, name);
    }
    if (headers.has("transfer-encoding")) throw notHttp();
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

/** Longest single wait, in milliseconds. */
const stepMs = 250;
/** A wait this much too long means that the process was stopped meanwhile, in milliseconds. */
const frozenMs = 1_000;

/**
 * Timeouts that can be stopped. Uses `AbortSignal.timeout`, as the first `setTimeout` adds 6 ms to the
 * start of the program; one at a time and short, as it cannot be stopped and stays in memory.
 */
export class TimeoutSet {
  readonly #timeouts = new Set<{ dueAt: number; readonly onDue: () => void }>();
  #isWaiting = false;

  /**
   * Calls `onDue` after `ms`, at most 250 ms late; returns a function that stops the timeout. Does not
   * count time in which the process was stopped, as answers that arrived then are not read yet.
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
