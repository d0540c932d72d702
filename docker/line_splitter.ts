import type { BodySink } from "./whole_body.ts";

const lineFeed = 10;
/** A container's event holds all of its labels, which have no bound of their own. */
const maximumLineBytes = 256 * 1024;

/** Cuts a stream into lines, wherever its parts begin and end. */
export class LineSplitter implements BodySink {
  readonly #onLine: (line: string | null) => void;
  readonly #maximumBytes: number;
  readonly #decoder = new TextDecoder();
  /** Has what has come of a line that goes on; one piece, as pieces of a byte each would eat memory. */
  #begun = new Uint8Array(0);
  #length = 0;

  /** `onLine` takes each line without its end, and null for one that is too long to be kept. */
  constructor(onLine: (line: string | null) => void, maximumBytes = maximumLineBytes) {
    this.#onLine = onLine;
    this.#maximumBytes = maximumBytes;
  }

  /** There is always room: what is too long is dropped. */
  checkRoom(): void {}

  append(part: Uint8Array): void {
    for (let start = 0; start < part.length;) {
      const end = part.indexOf(lineFeed, start);
      if (end < 0) return this.#keep(part.subarray(start));
      this.#finish(part.subarray(start, end));
      start = end + 1;
    }
  }

  #keep(bytes: Uint8Array): void {
    const at = this.#length;
    this.#length += bytes.length;
    if (this.#length > this.#maximumBytes) {
      this.#begun = new Uint8Array(0);
      return;
    }
    if (this.#length > this.#begun.length) {
      const larger = new Uint8Array(Math.max(this.#length, 2 * this.#begun.length));
      larger.set(this.#begun.subarray(0, at));
      this.#begun = larger;
    }
    this.#begun.set(bytes, at);
  }

  #finish(rest: Uint8Array): void {
    let line = rest;
    if (this.#length > 0) {
      this.#keep(rest);
      line = this.#begun.subarray(0, this.#length);
    }
    const length = Math.max(this.#length, rest.length);
    this.#length = 0;
    if (length > this.#maximumBytes) this.#onLine(null);
    else if (length > 0) this.#onLine(this.#decoder.decode(line));
  }
}
