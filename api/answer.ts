import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { Refusal, type RefusalKind } from "../apply/mod.ts";

/** How much of a failure the master is told, in characters. */
const maximumFailureLength = 500;

const statuses: Readonly<Record<RefusalKind, number>> = {
  malformed: 422,
  invalid: 400,
  conflict: 409,
  busy: 503,
  failed: 500,
};

/** What is sent back; the body becomes JSON. */
export interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A request that is answered with an error; the message is what the client is told. */
export class HttpError extends Error {
  override readonly name = "HttpError";

  constructor(
    readonly status: number,
    message: string,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
  }
}

/** The answer for an error, or null when it is none that a client may be told about. */
export function answerFor(error: unknown): Answer | null {
  if (error instanceof HttpError) {
    const { status, message, headers } = error;
    return { status, body: { detail: message }, headers };
  }
  if (!(error instanceof Refusal)) return null;
  const status = statuses[error.kind];
  const detail = status === 500
    ? error.message.slice(0, maximumFailureLength).toWellFormed()
    : error.message;
  return { status, body: { detail } };
}

/** How an answer is sent. */
export interface SendOptions {
  /** Whether the connection ends with it; it does so anyway when the request is not complete. */
  readonly close: boolean;
  /** How long the rest of the request is read and thrown away, in milliseconds. */
  readonly drainMs: number;
}

/** Sends an answer as JSON; resolves when nothing more is to be done for it. */
export async function send(
  request: IncomingMessage,
  response: ServerResponse,
  { status, body, headers = {} }: Answer,
  { close, drainMs }: SendOptions,
): Promise<void> {
  if (response.destroyed) return;
  const isOver = isWhole(request);
  const bytes = new TextEncoder().encode(JSON.stringify(body));
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": bytes.length,
    ...headers,
    ...((close || !isOver) && { connection: "close" }),
  });
  // A client that is still sending reads the answer later, and does not get it if it finds the
  // connection closed by then.
  const { socket } = response;
  // Without a socket, an answer to an earlier call has its turn first.
  if (drainMs > 0 && !isOver && socket) {
    response.write(bytes);
    await drain(request, drainMs);
    // Not by the answer's own end: it would write nothing once more, which over TLS is never done.
    socket.end(() => socket.destroy());
  } else {
    response.end(bytes);
  }
}

/** Whether nothing of a request is still to come. */
function isWhole({ complete, headers }: IncomingMessage): boolean {
  // A request without a body is complete a moment after it is handed over.
  const { "content-length": length = "0", "transfer-encoding": coding } = headers;
  return complete || (length === "0" && coding === undefined);
}

/** Throws away what comes of a request until its end, but not longer than `ms`. */
function drain(request: IncomingMessage, ms: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  request.once("end", resolve).once("close", resolve).resume();
  return promise.finally(() => clearTimeout(timer));
}

const malformed: Readonly<Record<string, readonly [status: string, detail: string]>> = {
  ERR_HTTP_REQUEST_TIMEOUT: ["408 Request Timeout", "the request did not come in time"],
  HPE_HEADER_OVERFLOW: ["431 Request Header Fields Too Large", "the headers are too large"],
};

/** Answers what never became a request, and closes the connection. */
export function refuseMalformed({ code = "" }: Error & { code?: string }, socket: Duplex): void {
  if (!socket.writable) return void socket.destroy();
  const [status, detail] = malformed[code] ?? ["400 Bad Request", "this is not an HTTP request"];
  const body = JSON.stringify({ detail });
  const head = `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: application/json\r\n` +
    `Content-Length: ${body.length}\r\n\r\n`;
  // A client may leave its end open for ever.
  socket.end(head + body, () => socket.destroy());
}
