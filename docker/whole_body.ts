/** Takes a body as it comes. */
export interface BodySink {
  /** Throws `Error` when so many bytes more would be too many. */
  checkRoom(more: number): void;
  /** Takes the next bytes, which stay what they are until it returns. */
  append(part: Uint8Array): void;
}

/** A body of unknown length, in one growing piece: a piece a chunk would let tiny chunks eat memory. */
export class WholeBody implements BodySink {
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
