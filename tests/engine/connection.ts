const bufferBytes = 16_384;
const carriageReturn = 13;
const decoder = new TextDecoder();

/** Writes all of `bytes`. */
export async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) {
    sent += await connection.write(bytes.subarray(sent));
  }
}

/** True for what a connection throws when it is closed on either side. */
export function isDisconnect(error: unknown): boolean {
  return error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.BadResource ||
    error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.Interrupted ||
    error instanceof Error && error.name === "AbortError";
}

/** Closes a connection that may be closed already. */
export function closeQuietly(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

/** The bytes of one connection, read as lines. */
export class ByteInput {
  readonly #connection: Deno.Conn;
  #buffer = new Uint8Array(bufferBytes);
  #start = 0;
  #end = 0;

  constructor(connection: Deno.Conn) {
    this.#connection = connection;
  }

  /** The next line without its end, undefined at the end of the input. */
  async line(readBytes = bufferBytes): Promise<string | undefined> {
    for (;;) {
      const end = this.#buffer.subarray(0, this.#end).indexOf(10, this.#start);
      if (end >= 0) {
        const line = decoder.decode(this.#buffer.subarray(this.#start, end));
        this.#start = end + 1;
        return line.replace(/\r$/, "");
      }
      if (!await this.#read(readBytes)) return undefined;
    }
  }

  /**
   * Header fields up to the empty line, names in lower case; undefined when the input ends. With
   * `sparing`, the line feed at their very end stays unread.
   */
  async headers({ sparing = false } = {}): Promise<Map<string, string> | undefined> {
    const headers = new Map<string, string>();
    for (;;) {
      if (sparing && await this.#next() === carriageReturn) return headers;
      const line = await this.line(sparing ? 1 : undefined);
      if (line === undefined) return undefined;
      if (line === "") return headers;
      const colon = line.indexOf(":");
      if (colon > 0) headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
    }
  }

  /** The next `count` bytes as text; undefined when the input ends. */
  async text(count: number): Promise<string | undefined> {
    // Never reading on leaves what follows in the socket.
    while (this.#end - this.#start < count) {
      if (!await this.#read(count - this.#end + this.#start)) return undefined;
    }
    const text = decoder.decode(this.#buffer.subarray(this.#start, this.#start + count));
    this.#start += count;
    return text;
  }

  /** Passes over everything up to the end of the input; then it is false. */
  async drain(): Promise<false> {
    do this.#start = this.#end; while (await this.#read(bufferBytes));
    return false;
  }

  async #next(): Promise<number | undefined> {
    if (this.#start === this.#end) await this.#read(1);
    return this.#start < this.#end ? this.#buffer[this.#start] : undefined;
  }

  async #read(count: number): Promise<boolean> {
    this.#buffer.copyWithin(0, this.#start, this.#end);
    this.#end -= this.#start;
    this.#start = 0;
    if (this.#end === this.#buffer.length) {
      const larger = new Uint8Array(2 * this.#end);
      larger.set(this.#buffer);
      this.#buffer = larger;
    }
    const room = this.#buffer.subarray(this.#end, this.#end + count);
    const length = await this.#connection.read(room);
    this.#end += length ?? 0;
    return length !== null;
  }
}
