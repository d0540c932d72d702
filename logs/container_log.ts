import { EngineError } from "../docker/errors.ts";
import { EngineConnection } from "../docker/http.ts";
import type { Log } from "../host/log.ts";
import type { TimeoutSet } from "../host/timeouts.ts";
import type { ClockWatcher } from "./clock.ts";

/** Where the reading of a log goes on. */
export interface LogPosition {
  /** Of the last line, as the engine wrote it: RFC 3339 with nanoseconds. */
  readonly timestamp: string;
  /** How many lines were read that have this timestamp; 0: those lines are not there any more. */
  readonly lines: number;
}

/** The most bytes that are kept of a line; the rest is dropped. One byte more than is ever sent. */
export const maximumLineBytes = 32 * 1024 + 1;
/** The engine cuts a line into pieces of this size. */
const pieceBytes = 16 * 1024;
/** Holds a whole piece with its header and timestamp. */
const bufferBytes = pieceBytes + 256;
/** For the head of the engine's answer; real ones have 300 bytes. */
const maximumHeadBytes = 1024;
const headerBytes = 8;
const longestTimestamp = 64;
const standardOutput = 1;
/** The type of a frame in which the engine says why it cannot read on. */
const engineError = 3;
const maximumErrorBytes = 300;
const [lineFeed, space, letterT] = [10, 32, 84];
/** The engine answers within this time, in milliseconds, or hangs. */
const answerTimeoutMs = 10_000;

/** The memory of one log without the lines that span several pieces, in bytes. */
export const logMemoryBytes = bufferBytes + 2 * maximumHeadBytes;

/** Memory, in bytes, that many logs share for lines that span several pieces. */
export class SharedMemory {
  /** How many lines were cut because it was used up. */
  cutLines = 0;
  #left: number;

  constructor(bytes: number) {
    this.#left = bytes;
  }

  /** Returns false when there is not enough left. */
  take(bytes: number): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#left += bytes;
  }
}

const decoder = new TextDecoder();
const noBytes = new Uint8Array();

/**
 * Splits the engine's stream of a log into lines. It consists of frames, each with a timestamp and a
 * line, or a piece of a long one.
 */
export class LogParser {
  /** That of the line that was returned last. */
  timestamp = "";
  readonly #memory: SharedMemory;
  readonly #sharesTimestamp: boolean;
  readonly #buffer = new Uint8Array(bufferBytes);
  readonly #view = new DataView(this.#buffer.buffer);
  #start = 0;
  #end = 0;
  /** Bytes of the current piece that are still to come. */
  #pieceLeft = 0;
  #pieceTimestamp = "";
  /** The earlier pieces of the current line. */
  #kept: Uint8Array<ArrayBuffer> = noBytes;
  #keptLength = 0;
  /** Whether the shared memory was used up in the current line. */
  #isCut = false;

  /** `sharesTimestamp`: whether the pieces of a line have the same timestamp; not those of Podman. */
  constructor(memory: SharedMemory, sharesTimestamp = true) {
    this.#memory = memory;
    this.#sharesTimestamp = sharesTimestamp;
  }

  /** Where to put the next bytes of the stream; call `added()` afterwards. Never empty. */
  space(): Uint8Array<ArrayBuffer> {
    this.#buffer.copyWithin(0, this.#start, this.#end);
    this.#end -= this.#start;
    this.#start = 0;
    return this.#buffer.subarray(this.#end);
  }

  /** Adds so many bytes. */
  added(count: number): void {
    this.#end += count;
  }

  /**
   * Returns the next line without its line feed, valid until the next call; null when more bytes must be
   * added. Throws `EngineError` for a stream that is not a log.
   */
  next(): Uint8Array | null {
    for (;;) {
      if (this.#pieceLeft === 0 && !this.#beginPiece()) return null;
      const isSameLine = !this.#sharesTimestamp || this.#pieceTimestamp === this.timestamp;
      // The container ended in the middle of a line, and was started again.
      if (this.#hasBegun && !isSameLine) return this.#takeKept();
      this.timestamp = this.#pieceTimestamp;
      const available = Math.min(this.#pieceLeft, this.#end - this.#start);
      const end = this.#buffer.indexOf(lineFeed, this.#start);
      if (end >= 0 && end < this.#start + available) {
        const piece = this.#take(end - this.#start);
        this.#take(1);
        if (!this.#hasBegun) return piece;
        this.#keep(piece);
        return this.#takeKept();
      }
      // Waits for the rest of the piece, unless it is larger than any of Docker.
      if (available < this.#pieceLeft && this.#pieceLeft <= bufferBytes) return null;
      this.#keep(this.#take(available));
      if (this.#pieceLeft > 0) return null;
    }
  }

  /** Returns the line that the end of the log has left without a line feed, or null. */
  last(): Uint8Array | null {
    this.#keep(this.#take(Math.min(this.#pieceLeft, this.#end - this.#start)));
    return this.#hasBegun ? this.#takeKept() : null;
  }

  /** Gives its memory back. */
  close(): void {
    this.#takeKept();
  }

  /** Whether a line has begun and not ended. */
  get #hasBegun(): boolean {
    return this.#keptLength > 0 || this.#isCut;
  }

  /** Reads what is before a piece; returns false when more bytes must be added. */
  #beginPiece(): boolean {
    const start = this.#start + headerBytes;
    if (start > this.#end) return false;
    const type = this.#buffer[this.#start];
    const size = this.#view.getUint32(this.#start + 4);
    const available = Math.min(size, this.#end - start);
    if (type === engineError) {
      const length = Math.min(size, maximumErrorBytes);
      if (available < length) return false;
      const text = decoder.decode(this.#buffer.subarray(start, start + length));
      throw new EngineError({ reason: "other", detail: text.trim() });
    }
    if (type !== standardOutput) throw malformed(`a frame of type ${type}`);
    const length = this.#buffer.indexOf(space, start) - start;
    // RFC 3339: a T follows the day.
    const isTimestamp = length > 10 && this.#buffer[start + 10] === letterT;
    if (!isTimestamp || length >= Math.min(available, longestTimestamp)) {
      if (available >= Math.min(size, longestTimestamp)) throw malformed("no timestamp");
      return false;
    }
    this.#pieceTimestamp = decoder.decode(this.#buffer.subarray(start, start + length));
    this.#start = start + length + 1;
    this.#pieceLeft = size - length - 1;
    return true;
  }

  /** Takes so many bytes of the current piece. */
  #take(count: number): Uint8Array {
    this.#start += count;
    this.#pieceLeft -= count;
    return this.#buffer.subarray(this.#start - count, this.#start);
  }

  /** Keeps a piece of a line, up to the most bytes of a line and as far as there is memory. */
  #keep(piece: Uint8Array): void {
    const length = Math.min(this.#keptLength + piece.length, maximumLineBytes);
    if (length > this.#kept.length && !this.#growKept(length)) {
      if (!this.#isCut) this.#memory.cutLines++;
      this.#isCut = true;
      return;
    }
    this.#kept.set(piece.subarray(0, length - this.#keptLength), this.#keptLength);
    this.#keptLength = length;
  }

  #growKept(length: number): boolean {
    const size = length <= pieceBytes ? pieceBytes : maximumLineBytes;
    if (!this.#memory.take(size - this.#kept.length)) return false;
    const larger = new Uint8Array(size);
    larger.set(this.#kept.subarray(0, this.#keptLength));
    this.#kept = larger;
    return true;
  }

  /** Returns what is kept, and gives its memory back: the line is handled before the next is read. */
  #takeKept(): Uint8Array {
    const line = this.#kept.subarray(0, this.#keptLength);
    this.#memory.giveBack(this.#kept.length);
    this.#kept = noBytes;
    this.#keptLength = 0;
    this.#isCut = false;
    return line;
  }
}

function malformed(detail: string): EngineError {
  return new EngineError({ reason: "other", detail: `the log is malformed: ${detail}` });
}

/** The line at which the reading of a log should go on is not there, as the engine has removed it. */
export class MissingLineError extends Error {
  override readonly name = "MissingLineError";
}

/** Which log to read, and from where on. */
export interface LogOptions {
  /** The path of the engine's socket. */
  readonly socket: string;
  /** The container's id. */
  readonly id: string;
  /** The last line that was read before; null: read from the start. */
  readonly after: LogPosition | null;
  readonly clock: ClockWatcher;
  readonly memory: SharedMemory;
  readonly timeouts: TimeoutSet;
  readonly log?: Log;
}

/** Reads what a container has written and writes to its standard output, line by line. */
export class ContainerLog {
  isClosed = false;
  readonly #connection: EngineConnection;
  readonly #parser: LogParser;
  /** The line that was read before, while it is looked for. */
  #after: LogPosition | null;
  #timestamp = "";
  #lines = 0;

  private constructor(
    connection: EngineConnection,
    parser: LogParser,
    after: LogPosition | null,
    /** From when on the engine sends lines, in milliseconds since 1970; null: from the start. */
    readonly since: number | null,
  ) {
    this.#connection = connection;
    this.#parser = parser;
    this.#after = after;
  }

  /**
   * Opens a log. It ends when the container does; aborted by `signal`. Throws `EngineError` when the
   * engine refuses, or does not answer within 10 s.
   */
  static async open(signal: AbortSignal, options: LogOptions): Promise<ContainerLog> {
    const { socket, id, after, clock, memory, timeouts, log } = options;
    const readAt = after === null ? NaN : Date.parse(after.timestamp);
    const earliest = clock.earliestAfter(readAt);
    const since = earliest > 0 ? earliest : null;
    // Where a time comes twice, later lines do not all have later times.
    const isLookedFor = after !== null && after.lines > 0 && !clock.mayComeTwice(readAt);
    const limits = { timeouts, maximumHeadBytes, log };
    const connection = await EngineConnection.open(socket, signal, limits);
    const stopTimeout = connection.abortAfter(answerTimeoutMs);
    try {
      const request = { method: "GET", path: logPath(id, since) } as const;
      const headers = await connection.openStream(request, "GET /containers/ID/logs");
      stopTimeout();
      const parser = new LogParser(memory, !headers.has("libpod-api-version"));
      return new ContainerLog(connection, parser, isLookedFor ? after : null, since);
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  /** Waits for more of the log; returns false at its end. Throws `EngineError`. */
  async fill(): Promise<boolean> {
    const count = await this.#connection.answers.readRest(this.#parser.space());
    this.#parser.added(count ?? 0);
    return count !== null;
  }

  /**
   * Returns the next line that was not read before, without its line feed, valid until the next call;
   * null when more must be waited for. Throws `EngineError` for a stream that is not a log, and
   * `MissingLineError`.
   */
  next(): Uint8Array | null {
    for (;;) {
      const line = this.#parser.next();
      if (line === null || this.#isNew()) return line;
    }
  }

  /**
   * Returns what the end of the log has left without a line feed; null when there is nothing. Throws
   * `MissingLineError`.
   */
  last(): Uint8Array | null {
    const line = this.#parser.last();
    if (line !== null && this.#isNew()) return line;
    if (this.#after !== null) throw new MissingLineError();
    return null;
  }

  /** The position after the line that was returned last. */
  get position(): LogPosition {
    return { timestamp: this.#timestamp, lines: this.#lines };
  }

  /** Ends the reading; `fill()` then throws. */
  close(): void {
    this.isClosed = true;
    this.#connection.abort(new EngineError({ reason: "client-closed" }));
    this.#parser.close();
  }

  /** Counts a line; returns whether it was not read before. */
  #isNew(): boolean {
    const { timestamp } = this.#parser;
    if (timestamp === this.#timestamp) this.#lines++;
    else [this.#timestamp, this.#lines] = [timestamp, 1];
    const after = this.#after;
    if (after === null) return true;
    if (timestamp === after.timestamp && this.#lines === after.lines) this.#after = null;
    else if (!(Date.parse(timestamp) <= Date.parse(after.timestamp))) throw new MissingLineError();
    return false;
  }
}

/** Returns where the engine has the lines since a time in milliseconds, also those still to come. */
function logPath(id: string, sinceMs: number | null): string {
  // Unix seconds; the engine takes no RFC 3339 here.
  const since = sinceMs === null ? "" : `&since=${(sinceMs / 1000).toFixed(3)}`;
  const query = `stdout=1&stderr=0&follow=1&timestamps=1&tail=all${since}`;
  return `/containers/${encodeURIComponent(id)}/logs?${query}`;
}
