import { type BodySink, WholeBody } from "./whole_body.ts";

const decoder = new TextDecoder();
const protocol = "HTTP/1.";
const maximumHeadBytes = 32 * 1024;
/** A chunk's size line: 8 hex digits, and room for the extensions that nobody sends. */
const maximumLineBytes = 1024;
const maximumTrailers = 16;

/** What comes before the body of an answer. */
export interface EngineHead {
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
    const body = new WholeBody(this.#maximumBodyBytes);
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
  async body({ status, headers }: EngineHead, sink: BodySink): Promise<void> {
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

  async #chunks(sink: BodySink): Promise<void> {
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
  async #copy(length: number, sink: BodySink): Promise<void> {
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
