import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { ApplyError, type ApplyErrorCode } from "../apply/apply_error.ts";
import type { Log } from "../host/log.ts";
import { type Json, NumberToken, parseJson } from "../topology/json.ts";
import type { Connection, Limits } from "./connections.ts";

/** Lets those who want to change the host do so one after the other, in the order they came. */
export class SerialQueue {
  #last: Promise<void> = Promise.resolve();

  /**
   * Waits for a turn; answers the function that ends it. Throws `ClientGone` when `gone` is aborted
   * before it has come.
   */
  async take(gone: AbortSignal): Promise<() => void> {
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const before = this.#last;
    this.#last = before.then(() => ended);
    const { promise: left, resolve: leave } = Promise.withResolvers<void>();
    const onLeave = () => leave();
    gone.addEventListener("abort", onLeave, { once: true });
    if (gone.aborted) leave();
    await Promise.race([before, left]);
    gone.removeEventListener("abort", onLeave);
    if (!gone.aborted) return end;
    end();
    throw new ClientGone();
  }
}

/** What the API answers with. Each call may throw `Refusal`, whose kind decides the status. */
export interface ApiService {
  /**
   * The beat's `topology` object, also while an apply runs. `signal` is aborted when the client is
   * gone.
   */
  state(signal: AbortSignal): Promise<unknown>;
  /**
   * Applies a document, which nobody has looked at yet. When the client is gone (`gone` is aborted)
   * before it has begun, it is not done any more; what has begun goes on.
   */
  apply(
    hydrated: { readonly [key: string]: Json },
    versionHash: string,
    gone: AbortSignal,
  ): Promise<void>;
  /** Tears down a topology, known or not; `gone` is as for an apply. */
  teardown(topologyId: string, gone: AbortSignal): Promise<void>;
}

/** A JSON object as it came, its fields not looked at. */
type JsonObject = { readonly [key: string]: Json };

/** The client went away before its request was complete: there is nobody to answer. */
export class ClientGone extends Error {
  override readonly name = "ClientGone";
}

/** How a body is read. */
interface BodyOptions {
  readonly limits: Limits;
  /** Aborted when the connection is gone. */
  readonly gone: AbortSignal;
}

/**
 * Reads a body that must be a JSON object. Throws `HttpError` 413, 408 or 422, and `ClientGone`.
 */
async function readObject(
  request: IncomingMessage,
  options: BodyOptions,
): Promise<JsonObject> {
  const bytes = await readBytes(request, options);
  let body: Json;
  try {
    body = parseJson(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    if (error instanceof SyntaxError) throw new HttpError(422, error.message);
    throw new HttpError(422, "Cannot read the document: it is not UTF-8");
  }
  return objectOf(body, "the body");
}

/** The value as an object. Throws `HttpError` 422, which calls it `name`. */
function objectOf(value: Json | undefined, name: string): JsonObject {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    if (!(value instanceof NumberToken)) return value;
  }
  throw new HttpError(422, `${name} must be an object`);
}

/** The value as a text. Throws `HttpError` 422, which calls it `name`. */
function textOf(value: Json | undefined, name: string): string {
  if (typeof value === "string") return value;
  throw new HttpError(422, `${name} must be a string`);
}

async function readBytes(
  request: IncomingMessage,
  { limits: { maximumBodyBytes, bodyTimeoutMs }, gone }: BodyOptions,
): Promise<Uint8Array> {
  const tooLarge = new HttpError(413, `the body is larger than ${maximumBodyBytes} bytes`);
  if (Number(request.headers["content-length"] ?? 0) > maximumBodyBytes) throw tooLarge;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  const keep = (chunk: Uint8Array<ArrayBuffer>) => {
    length += chunk.length;
    if (length > maximumBodyBytes) reject(tooLarge);
    else chunks.push(chunk);
  };
  // The server's own bound counts from the request's first byte and is looked at now and then.
  const timer = setTimeout(() => {
    reject(new HttpError(408, `the body did not come within ${bodyTimeoutMs / 1000} s`));
  }, bodyTimeoutMs);
  const leave = () => reject(new ClientGone());
  request.on("data", keep).once("end", resolve).once("error", leave).once("close", leave);
  // A request says nothing when its connection is cut because of what came after it.
  gone.addEventListener("abort", leave, { once: true });
  if (gone.aborted) leave();
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    request.off("data", keep);
    gone.removeEventListener("abort", leave);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

/** How much of a failure the master is told, in characters. */
const maximumFailureLength = 500;

const statuses: Readonly<Record<ApplyErrorCode, number>> = {
  malformed: 422,
  invalid: 400,
  conflict: 409,
  busy: 503,
  failed: 500,
};

/** What is sent back; the body becomes JSON. */
interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A request that is answered with an error; the message is what the client is told. */
class HttpError extends Error {
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
function answerFor(error: unknown): Answer | null {
  if (error instanceof HttpError) {
    const { status, message, headers } = error;
    return { status, body: { detail: message }, headers };
  }
  if (!(error instanceof ApplyError)) return null;
  const status = statuses[error.code];
  const detail = status === 500
    ? error.message.slice(0, maximumFailureLength).toWellFormed()
    : error.message;
  return { status, body: { detail } };
}

/** How an answer is sent. */
interface SendOptions {
  /** Whether the connection ends with it; it does so anyway when the request is not complete. */
  readonly close: boolean;
  /** How long the rest of the request is read and thrown away, in milliseconds. */
  readonly drainMs: number;
}

/** Sends an answer as JSON; resolves when nothing more is to be done for it. */
async function send(
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

/** One call of the table; answers what goes out with status 200. */
interface Route {
  readonly method: "GET" | "POST";
  run(call: Call): Promise<unknown>;
}

interface Call {
  readonly service: ApiService;
  /** Aborted when the client is gone. */
  readonly signal: AbortSignal;
  readBody(): Promise<JsonObject>;
}

const routes: ReadonlyMap<string, Route> = new Map<string, Route>([
  ["/health", {
    method: "GET",
    run: () => Promise.resolve({ status: "ok" }),
  }],
  ["/topology/state", {
    method: "GET",
    run: ({ service, signal }) => service.state(signal),
  }],
  ["/topology/apply", {
    method: "POST",
    async run({ service, signal, readBody }) {
      const body = await readBody();
      const versionHash = textOf(body.version_hash, "version_hash");
      await service.apply(objectOf(body.hydrated, "hydrated"), versionHash, signal);
      return { status: "applied", version_hash: versionHash };
    },
  }],
  ["/topology/teardown", {
    method: "POST",
    async run({ service, signal, readBody }) {
      const topologyId = textOf((await readBody()).topology_id, "topology_id");
      await service.teardown(topologyId, signal);
      return { status: "torn_down", topology_id: topologyId };
    },
  }],
]);

/** What requests are answered with. */
export interface HandlerOptions {
  readonly service: ApiService;
  readonly turns: SerialQueue;
  readonly limits: Limits;
  readonly log: Log;
}

/** Answers one request, whatever comes; never throws. */
export async function handle(
  request: IncomingMessage,
  response: ServerResponse,
  connection: Connection,
  { service, turns, limits, log }: HandlerOptions,
): Promise<void> {
  // Without a listener, a client that goes away in the middle would end the process.
  request.on("error", () => {});
  if (!connection.isAllowed) {
    const body = { detail: "this certificate is not one of those that may call this agent" };
    return await send(request, response, { status: 403, body }, { close: true, drainMs: 0 });
  }
  const expectation = request.headers.expect;
  let endTurn = () => {};
  const readBody = async () => {
    // What waits for its turn takes no more memory than what the system keeps for it.
    endTurn = await turns.take(connection.gone);
    if (expectation !== undefined) response.writeContinue();
    const body = await readObject(request, { limits, gone: connection.gone });
    // That a client has left is known only when all that it had sent is read.
    await new Promise((resolve) => setTimeout(resolve, 10));
    if (connection.gone.aborted) throw new ClientGone();
    return body;
  };
  let answer: Answer;
  let drainMs = 0;
  try {
    const route = findRoute(request);
    answer = { status: 200, body: await route.run({ service, signal: connection.gone, readBody }) };
  } catch (error) {
    if (error instanceof ClientGone) return;
    const known = answerFor(error);
    if (!known) {
      const message = error instanceof Error ? error.message : String(error);
      log("error", `the API failed: ${message}`, { path: pathOf(request) });
    }
    answer = known ?? { status: 500, body: { detail: "internal error" } };
    // Whoever waits to be told to go on sends nothing, and whoever was too slow has had its time.
    if (expectation === undefined && answer.status !== 408) drainMs = limits.bodyTimeoutMs;
  } finally {
    endTurn();
  }
  await send(request, response, answer, { close: connection.isRetired, drainMs });
}

function findRoute(request: IncomingMessage): Route {
  const { expect } = request.headers;
  if (expect !== undefined && expect.toLowerCase() !== "100-continue") {
    throw new HttpError(417, "only 100-continue can be expected");
  }
  const route = routes.get(pathOf(request));
  if (!route) throw new HttpError(404, "there is nothing at this path");
  if (route.method === request.method) return route;
  throw new HttpError(405, `only ${route.method} is answered here`, { allow: route.method });
}

function pathOf({ url = "" }: IncomingMessage): string {
  return url.split("?", 1)[0]!;
}
