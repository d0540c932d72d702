import { Buffer } from "node:buffer";
import { STATUS_CODES } from "node:http";

/** Writes all of a text or bytes. */
export async function writeAll(to: Deno.Conn, content: Uint8Array | string): Promise<void> {
  const bytes = typeof content === "string" ? encode(content) : content;
  for (let sent = 0; sent < bytes.length;) {
    sent += await to.write(bytes.subarray(sent));
  }
}

const disconnects = ["AbortError", "BadResource", "BrokenPipe", "ConnectionReset", "Interrupted"];

/** Whether an error says that a connection was closed on either side. */
export function isDisconnect(error: unknown): boolean {
  return error instanceof Error && disconnects.includes(error.name);
}

/** Closes a connection that may be closed already. */
export function closeQuietly(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

/** A request as it was received. */
export interface Request {
  readonly method: string;
  /** The path with its query. */
  readonly target: string;
  /** Whether the client wants the connection closed after the answer. */
  readonly close: boolean;
  readonly body: string;
}

const chunkBytes = 16_384;

/** Reads the requests of one connection. */
export class RequestReader {
  readonly #chunk = new Uint8Array(chunkBytes);
  #bytes = Buffer.alloc(0);

  constructor(readonly connection: Deno.Conn) {}

  /**
   * Reads the next request; null at the end of the input. A sparing read leaves the last byte in the
   * socket, which is then reset, rather than closed, by a close; that byte is known, as a body is a
   * JSON object.
   */
  async next(isSparing: boolean): Promise<Request | null> {
    let end: number;
    const mark = isSparing ? "\r\n\r" : "\r\n\r\n";
    while ((end = this.#bytes.indexOf(mark)) < 0) {
      if (!await this.#read(isSparing ? 1 : chunkBytes)) return null;
    }
    // A sparing read has left the first byte.
    const head = this.#bytes.toString("latin1", 0, end).replace(/^[\n}]/, "");
    const [method = "", target = ""] = head.split(" ", 2);
    const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
    const bodyStart = end + 4;
    const wanted = bodyStart + length - (isSparing ? 1 : 0);
    while (this.#bytes.length < wanted) {
      if (!await this.#read(wanted - this.#bytes.length)) return null;
    }
    const body = this.#bytes.toString("utf8", bodyStart, wanted);
    this.#bytes = this.#bytes.subarray(wanted);
    const close = /^connection: *close/im.test(head);
    return { method, target, close, body: isSparing && length > 0 ? `${body}}` : body };
  }

  /** Passes over everything up to the end of the input. */
  async drain(): Promise<void> {
    while (await this.#read(chunkBytes)) this.#bytes = Buffer.alloc(0);
  }

  async #read(most: number): Promise<boolean> {
    const length = await this.connection.read(this.#chunk.subarray(0, most));
    this.#bytes = Buffer.concat([this.#bytes, this.#chunk.subarray(0, length ?? 0)]);
    return length !== null;
  }
}

/** The real engine's HTTP library buffers this much before it gives up on a Content-Length. */
const chunkedAboveBytes = 2048;

/** An answer before it is put into bytes. */
export interface Reply {
  readonly status: number;
  readonly body: string;
}

/** An answer in JSON. */
export function json(status: number, value: unknown): Reply {
  return { status, body: `${JSON.stringify(value)}\n` };
}

/** A whole answer in bytes; `chunked` by length, as the real engine does it, unless given. */
export function frame(
  reply: Reply,
  close = false,
  chunked = reply.body.length > chunkedAboveBytes,
): Uint8Array<ArrayBuffer> {
  const { status, body } = reply;
  const end: Record<string, string> = close ? { Connection: "close" } : {};
  // Answers with these statuses have no body, and no Content-Length.
  if (status === 204 || status === 304) return encode(headOf(status, end));
  if (chunked) {
    const head = headOf(status, { "Transfer-Encoding": "chunked", ...end });
    return encode(`${head}${chunk(body)}${chunk("")}`);
  }
  return encode(headOf(status, { "Content-Length": `${encode(body).length}`, ...end }) + body);
}

/** The status line and the headers of an answer, the empty line included. */
export function headOf(
  status: number,
  more: Readonly<Record<string, string>>,
  minorVersion = 1,
): string {
  const fields = {
    "Api-Version": "1.41",
    "Content-Type": "application/json",
    "Server": "Docker/20.10.24 (linux)",
    "Date": new Date().toUTCString(),
    ...more,
  };
  const text = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`).join("");
  return `HTTP/1.${minorVersion} ${status} ${STATUS_CODES[status] ?? "Unknown"}\r\n${text}\r\n`;
}

/** A text as one chunk; an empty one is the end. */
export function chunk(text: string): string {
  return `${encode(text).length.toString(16)}\r\n${text}\r\n`;
}

/** A text in UTF-8. */
export function encode(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}
