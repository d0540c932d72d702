import type { BodySink } from "./response_reader.ts";

const lineFeed = 10;
/** A container's event holds all of its labels, which have no bound of their own. */
const maximumLineBytes = 256 * 1024;

/** Cuts a stream into lines, wherever its parts begin and end. */
export class LineSplitter implements BodySink {
  readonly #onLine: (line: string | null) => void;
  readonly #maximumBytes: number;
  readonly #decoder = new TextDecoder();
  /** What has come of a line that goes on. */
  #begun: Uint8Array[] = [];
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
      this.#take(part.subarray(start, end < 0 ? part.length : end));
      if (end < 0) return;
      this.#finish();
      start = end + 1;
    }
  }

  #take(bytes: Uint8Array): void {
    this.#length += bytes.length;
    if (this.#length <= this.#maximumBytes) this.#begun.push(bytes.slice());
    else this.#begun = [];
  }

  #finish(): void {
    const [length, begun] = [this.#length, this.#begun];
    this.#length = 0;
    this.#begun = [];
    if (length > this.#maximumBytes) return this.#onLine(null);
    const line = new Uint8Array(length);
    let at = 0;
    for (const bytes of begun) {
      line.set(bytes, at);
      at += bytes.length;
    }
    if (length > 0) this.#onLine(this.#decoder.decode(line));
  }
}
