import { STATUS_CODES } from "node:http";

/** Newer calls are refused. */
export const maximumApiMinor = 41;
/** The real engine's HTTP library buffers this much before it gives up on a Content-Length. */
const chunkedAboveBytes = 2048;
const engineHeaders = {
  "Api-Version": `1.${maximumApiMinor}`,
  "Docker-Experimental": "false",
  "Ostype": "linux",
  "Server": "Docker/20.10.24 (linux)",
};
/** The whole answer to what is no call. */
export const badRequest =
  "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n" +
  "Connection: close\r\n\r\n400 Bad Request";

/** An answer before it is put into bytes. */
export interface Reply {
  status: number;
  body: string;
  headers: Record<string, string>;
}

/** An answer in JSON. */
export function json(status: number, value: unknown): Reply {
  const headers = { ...engineHeaders, "Content-Type": "application/json" };
  return { status, headers, body: JSON.stringify(value) + "\n" };
}

/** An answer in plain text. */
export function plain(body: string): Reply {
  const headers = { ...engineHeaders, "Content-Type": "text/plain; charset=utf-8" };
  return { status: 200, headers, body };
}

/** An answer without a body. */
export function empty(status: number): Reply {
  return { status, headers: engineHeaders, body: "" };
}

/** A refusal in the words of the engine. */
export function failure(status: number, message: string): Reply {
  return json(status, { message });
}

/** A whole answer in bytes; `chunked` by length, as the real engine does it, unless told. */
export function frame(
  reply: Reply,
  close: boolean,
  chunked = reply.body.length > chunkedAboveBytes,
): Uint8Array<ArrayBuffer> {
  const length = encode(reply.body).length;
  // These two statuses never have a body, and so no length of it.
  const isBare = reply.status === 204 || reply.status === 304;
  const head = headOf(reply, {
    "Date": new Date().toUTCString(),
    ...(isBare
      ? {}
      : chunked
      ? { "Transfer-Encoding": "chunked" }
      : { "Content-Length": `${length}` }),
    ...(close ? { "Connection": "close" } : {}),
  });
  if (isBare) return encode(head);
  if (!chunked) return encode(head + reply.body);
  const size = length.toString(16);
  return encode(`${head}${size}\r\n${reply.body}\r\n0\r\n\r\n`);
}

/** The status line and the headers of an answer, the empty line included. */
export function headOf(reply: Reply, more: Record<string, string>): string {
  const fields = Object.entries({ ...reply.headers, ...more });
  const text = fields.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  return `HTTP/1.1 ${reply.status} ${STATUS_CODES[reply.status] ?? "Unknown"}\r\n${text}\r\n`;
}

/** How many of the bytes of an answer are its head. */
export function headLength(bytes: Uint8Array): number {
  return new TextDecoder("latin1").decode(bytes).indexOf("\r\n\r\n") + 4;
}

/** A text as one chunk; an empty one is the end. */
export function chunk(text: string): Uint8Array<ArrayBuffer> {
  return encode(`${encode(text).length.toString(16)}\r\n${text}\r\n`);
}

/** A text in UTF-8. */
export function encode(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}
