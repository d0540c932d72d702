/** Why an answer cannot be read. */
export type HttpFailure =
  | { readonly reason: "not-http" | "answer-cut" }
  | { readonly reason: "too-large"; readonly maximumBytes: number }
  | { readonly reason: "other"; readonly detail: string };

/** An answer cannot be read. The message is for programs: callers describe `failure` for operators. */
export class HttpError extends Error {
  override readonly name = "HttpError";

  constructor(readonly failure: HttpFailure) {
    super(failure.reason === "other" ? failure.detail : failure.reason);
  }
}

/** Collects bytes in one growing buffer; a buffer for each part would waste memory on tiny parts. */
export class BodyBuffer {
  #bytes = new Uint8Array(16 * 1024);
  #length = 0;

  constructor(readonly maximumBytes = Infinity) {}

  get length(): number {
    return this.#length;
  }

  /** Throws `HttpError` when `more` bytes would exceed the limit. */
  checkRoom(more: number): void {
    if (this.#length + more <= this.maximumBytes) return;
    throw new HttpError({ reason: "too-large", maximumBytes: this.maximumBytes });
  }

  /** Copies `part` to the end. Throws as `checkRoom()`. */
  append(part: Uint8Array): void {
    this.reserve(part.length).set(part);
    this.commit(part.length);
  }

  /** Returns where the next `more` bytes are to be written. Throws as `checkRoom()`. */
  reserve(more: number): Uint8Array<ArrayBuffer> {
    this.checkRoom(more);
    const needed = this.#length + more;
    if (needed > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
      larger.set(this.bytes());
      this.#bytes = larger;
    }
    return this.#bytes.subarray(this.#length, needed);
  }

  /** Appends the first bytes of what was reserved, so many as were written. */
  commit(written: number): void {
    this.#length += written;
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
/** How many informational answers (1xx) may precede an answer: each takes processor time. */
const maximumInformational = 8;

/** Status and headers of an answer. */
export interface ResponseHead {
  readonly status: number;
  /** Names in lower case; the last value of a repeated header. */
  readonly headers: ReadonlyMap<string, string>;
  /** Whether no further answer comes on its connection. */
  readonly isLast: boolean;
}

/** A whole answer. */
export interface HttpResponse extends ResponseHead {
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

  /** Reads an answer. Throws `HttpError` when it is not HTTP, incomplete or over a limit. */
  async next(): Promise<HttpResponse> {
    const head = await this.readHead();
    const body = new BodyBuffer(this.#maximumBodyBytes);
    await this.readBody(head, body);
    return { ...head, body: body.bytes() };
  }

  /** How much was read of what comes after the last answer. */
  get unreadBytes(): number {
    return this.#end - this.#start;
  }

  /** Reads the head of an answer, after informational ones (1xx). Throws like `next()`. */
  async readHead(): Promise<ResponseHead> {
    for (let informational = 0; informational <= maximumInformational; informational++) {
      const head = parseHead(await this.#readUntil("\r\n\r\n", this.#maximumHeadBytes, protocol));
      if (head.status < 200) continue;
      this.#onHead(head.status);
      return head;
    }
    throw malformed("only informational answers");
  }

  /** Reads the body that follows a head to the end of `body`. Throws like `next()`. */
  async readBody({ status, headers }: ResponseHead, body: BodyBuffer): Promise<void> {
    const coding = headers.get("transfer-encoding");
    const length = headers.get("content-length");
    if (isBodiless(status)) return;
    if (coding !== undefined) {
      if (coding.toLowerCase() !== "chunked") throw malformed(`transfer encoding ${coding}`);
      await this.#copyChunks(body);
    } else if (length !== undefined) {
      if (!/^\d{1,15}$/.test(length)) throw malformed(`content length ${length}`);
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
      await this.#copy(size, body);
      // An engine sends no trailers after the last one, either.
      const rest = await this.#readUntil("\r\n", maximumLineBytes);
      if (rest !== "") throw malformed("a chunk too long");
    }
  }

  async #copy(length: number, body: BodyBuffer): Promise<void> {
    body.checkRoom(length);
    for (let left = length; left > 0;) {
      if (this.#start === this.#end && left > this.#buffer.length) {
        // Through the buffer, what is larger would be copied twice.
        const count = await this.#readBytes(body.reserve(left));
        if (count === null) throw new HttpError({ reason: "answer-cut" });
        body.commit(count);
        left -= count;
        continue;
      }
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
      if (!start.startsWith(text.slice(0, start.length))) {
        throw new HttpError({ reason: "not-http" });
      }
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
    if (!await this.#fill()) throw new HttpError({ reason: "answer-cut" });
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

function parseHead(text: string): ResponseHead {
  const [statusLine, ...headerLines] = text.split("\r\n");
  const [, minor, digits] = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: |$)/.exec(statusLine!) ?? [];
  if (digits === undefined) throw new HttpError({ reason: "not-http" });
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

function malformed(detail: string): HttpError {
  return new HttpError({ reason: "other", detail });
}
