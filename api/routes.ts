import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { ApplyError, type ApplyErrorCode } from "../apply/apply_error.ts";
import { fleetStatus } from "../agent/heartbeat.ts";
import { type Log, messageOf, shorten } from "../host/log.ts";
import { waitFor } from "../host/process.ts";
import { type Json, type JsonObject, NumberToken, parseJson } from "../topology/json.ts";
import type { Connection, Limits } from "./connections.ts";

/** The client of a call. */
export interface ApiClient {
  readonly address: string;
  /** Aborted when the client disconnects; an apply that has begun continues. */
  readonly clientSignal: AbortSignal;
}

/** Carries out the API's calls. Each method may throw `ApplyError`, whose code decides the status. */
export interface ApiService {
  /** Where calls that change the host wait for each other; a call leaves it once it has ended. */
  readonly queue: SerialQueue;
  /** Returns the heartbeat's `topology` object. */
  state(signal: AbortSignal): Promise<unknown>;
  apply(hydrated: JsonObject, versionHash: string, client: ApiClient): Promise<void>;
  teardown(topologyId: string, clientSignal: AbortSignal): Promise<void>;
  /** Tears down what is stored when its turn in the queue comes. Returns at once. */
  scheduleSelfDestruct(): void;
}

/** What the handler of a request needs. */
export interface HandlerOptions {
  readonly service: ApiService;
  readonly limits: Limits;
  readonly log: Log;
}

/** The client has closed its connection, so an answer cannot be sent. */
export class ClientGone extends Error {
  override readonly name = "ClientGone";
}

/** Lets requests in one after the other, in the order in which they arrived. */
export class SerialQueue {
  #last: Promise<void> = Promise.resolve();

  /** Settles when the request that has entered last has left. */
  get last(): Promise<void> {
    return this.#last;
  }

  /** Waits for earlier requests; returns the function that leaves. Throws `ClientGone` when aborted. */
  async enter(clientSignal: AbortSignal): Promise<() => void> {
    const { promise: left, resolve: leave } = Promise.withResolvers<void>();
    const before = this.#last;
    this.#last = before.then(() => left);
    const { promise: gone, resolve: onGone } = Promise.withResolvers<unknown>();
    clientSignal.addEventListener("abort", onGone, { once: true });
    if (!clientSignal.aborted) await Promise.race([before, gone]);
    clientSignal.removeEventListener("abort", onGone);
    if (!clientSignal.aborted) return leave;
    leave();
    throw new ClientGone();
  }
}

/** The answer to a request; the body is sent as JSON. */
interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A request that is answered with an error; the message is for the client. */
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

const notAllowed = new HttpError(403, "the name in this client certificate is not allowed");

const statuses: Readonly<Record<ApplyErrorCode, number>> = {
  malformed: 422,
  invalid: 400,
  conflict: 409,
  loop: 409,
  busy: 503,
  failed: 500,
};
/** How much of a path is logged, in characters. */
const maximumPathLength = 200;
/** How much of a failure's message is sent, in characters. */
const maximumFailureLength = 500;

/** One call of the API; `run` returns the body of an answer with status 200. */
interface Route {
  readonly method: "GET" | "POST";
  run(exchange: Exchange): Promise<unknown>;
}

/** A call of the fleet form of deployment, which this agent does not have. */
const fleetCall: Route = {
  method: "POST",
  run: () => Promise.reject(new HttpError(501, "this agent runs topologies only")),
};

const routes: ReadonlyMap<string, Route> = new Map<string, Route>([
  ["/health", { method: "GET", run: () => Promise.resolve({ status: "ok" }) }],
  ["/topology/state", {
    method: "GET",
    run: ({ options: { service }, client }) => service.state(client.clientSignal),
  }],
  ["/topology/apply", {
    method: "POST",
    async run(exchange) {
      const { version_hash: hash, hydrated } = await exchange.readInTurn();
      const versionHash = stringOf(hash, "version_hash");
      const { options: { service }, client } = exchange;
      await service.apply(objectOf(hydrated, "hydrated"), versionHash, client);
      return { status: "applied", version_hash: versionHash };
    },
  }],
  ["/topology/teardown", {
    method: "POST",
    async run(exchange) {
      const topologyId = stringOf((await exchange.readInTurn()).topology_id, "topology_id");
      await exchange.options.service.teardown(topologyId, exchange.client.clientSignal);
      return { status: "torn_down", topology_id: topologyId };
    },
  }],
  ["/status", { method: "GET", run: () => Promise.resolve(fleetStatus) }],
  ["/deploy", fleetCall],
  ["/mutate", fleetCall],
  ["/teardown", {
    method: "POST",
    async run(exchange) {
      const { decky_id: deckyId = null } = parseObject(await exchange.readBody());
      if (deckyId === null || typeof deckyId === "string") {
        return { status: "torn_down", decky_id: deckyId };
      }
      throw new HttpError(422, "decky_id must be a string or null");
    },
  }],
  ["/self-destruct", {
    method: "POST",
    async run(exchange) {
      await exchange.readBody();
      exchange.options.service.scheduleSelfDestruct();
      return { status: "self_destruct_scheduled" };
    },
  }],
]);

/** One request and its answer. */
export class Exchange {
  #leaveQueue = () => {};

  constructor(
    readonly request: IncomingMessage,
    readonly response: ServerResponse,
    readonly client: Connection,
    readonly options: HandlerOptions,
  ) {}

  /** Answers the request. Never throws. */
  async run(): Promise<void> {
    // Without a listener, a connection that breaks would end the process.
    this.request.on("error", () => {});
    const startedAt = performance.now();
    // An error is answered before the runtime reads the body, so that the connection ends with it.
    const route = this.client.isAllowed ? findRoute(this.request) : notAllowed;
    const answer = route instanceof HttpError ? answerOf(route) : await this.#runRoute(route);
    if (answer) await this.#send(answer);
    const { method = "" } = this.request;
    this.options.log("debug", "API call", {
      method,
      path: shorten(pathOf(this.request), maximumPathLength),
      status: this.response.headersSent ? this.response.statusCode : "none",
      ms: Math.round(performance.now() - startedAt),
    });
  }

  /** Returns null if the client has disconnected. */
  async #runRoute(route: Route): Promise<Answer | null> {
    try {
      return { status: 200, body: await route.run(this) };
    } catch (error) {
      if (error instanceof ClientGone) return null;
      if (error instanceof HttpError || error instanceof ApplyError) return answerOf(error);
      const path = pathOf(this.request);
      this.options.log("error", `the API failed: ${messageOf(error)}`, { path });
      return { status: 500, body: { detail: "internal error" } };
    } finally {
      this.#leaveQueue();
    }
  }

  /** Reads the body before its turn: else a slow client blocks all, or the runtime buffers it unbounded. */
  async readInTurn(): Promise<JsonObject> {
    const bytes = await this.readBody();
    // The runtime reports a closed connection only after everything that was received is read.
    await new Promise((resolve) => setTimeout(resolve, 10));
    this.#leaveQueue = await this.options.service.queue.enter(this.client.clientSignal);
    return parseObject(bytes);
  }

  /** Reads the body, and does not wait. */
  async readBody(): Promise<Uint8Array> {
    if (this.request.headers.expect !== undefined) this.response.writeContinue();
    return await readBytes(this.request, this.options.limits, this.client.clientSignal);
  }

  /**
   * Sends an answer; ends the connection if the request is incomplete. Reads the rest before an error: a
   * client that is still sending gets the answer only if the connection is open at its end.
   */
  async #send({ status, body, headers = {} }: Answer): Promise<void> {
    const { request, response } = this;
    if (response.destroyed) return;
    const isRead = isComplete(request);
    const isLast = !isRead || status === 403 || this.client.isRetired;
    const bytes = new TextEncoder().encode(JSON.stringify(body));
    response.writeHead(status, {
      "content-type": "application/json",
      "content-length": bytes.length,
      ...headers,
      ...(isLast && { connection: "close" }),
    });
    // A client that waits for 100 sends no body, and one that was too slow has had its time.
    const isRestSent = !isRead && request.headers.expect === undefined;
    const isRestWanted = status >= 400 && status !== 403 && status !== 408;
    const { socket } = response;
    // There is no socket while the answer to an earlier request is still being sent.
    if (!isRestSent || !isRestWanted || !socket) return void response.end(bytes);
    response.write(bytes);
    const { limits: { bodyTimeoutMs: timeoutMs } } = this.options;
    // Discards the rest.
    await waitFor({ timeoutMs, signal: this.client.clientSignal }, null, ({ resolve }) => {
      request.once("end", resolve).once("close", resolve).resume();
    }).catch(() => {});
    // Not `response.end()`: it writes an empty chunk, which never completes over TLS.
    socket.end(() => socket.destroy());
  }
}

function answerOf(error: HttpError | ApplyError): Answer {
  if (error instanceof HttpError) {
    const { status, message, headers } = error;
    return { status, body: { detail: message }, headers };
  }
  const { code, message } = error;
  const detail = code === "failed" ? shorten(message, maximumFailureLength) : message;
  return { status: statuses[code], body: { detail } };
}

function findRoute(request: IncomingMessage): Route | HttpError {
  const { expect } = request.headers;
  if (expect !== undefined && expect.toLowerCase() !== "100-continue") {
    return new HttpError(417, "only 100-continue can be expected");
  }
  const route = routes.get(pathOf(request));
  if (!route) return new HttpError(404, "there is nothing at this path");
  if (route.method === request.method) return route;
  return new HttpError(405, `only ${route.method} is answered here`, { allow: route.method });
}

function pathOf({ url = "" }: IncomingMessage): string {
  return url.split("?", 1)[0]!;
}

function parseObject(bytes: Uint8Array): JsonObject {
  let body: Json;
  try {
    body = parseJson(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    if (error instanceof SyntaxError) throw new HttpError(422, error.message);
    throw new HttpError(422, "Cannot read the document: it is not UTF-8");
  }
  return objectOf(body, "the body");
}

function objectOf(value: Json | undefined, name: string): JsonObject {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    if (!(value instanceof NumberToken)) return value;
  }
  throw new HttpError(422, `${name} must be an object`);
}

function stringOf(value: Json | undefined, name: string): string {
  if (typeof value === "string") return value;
  throw new HttpError(422, `${name} must be a string`);
}

/** Throws `HttpError` 413 or 408, and `ClientGone`. */
async function readBytes(
  request: IncomingMessage,
  { maximumBodyBytes, bodyTimeoutMs }: Limits,
  clientSignal: AbortSignal,
): Promise<Uint8Array> {
  const tooLarge = new HttpError(413, `the body is larger than ${maximumBodyBytes} bytes`);
  if (Number(request.headers["content-length"] ?? 0) > maximumBodyBytes) throw tooLarge;
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  // Not the server's own limit: it includes the headers, and is checked only at intervals.
  const late = new HttpError(408, `the body did not come within ${bodyTimeoutMs / 1000} s`);
  const limits = { timeoutMs: bodyTimeoutMs, signal: clientSignal };
  let length = 0;
  try {
    await waitFor(limits, late, ({ resolve, reject }) => {
      const onGone = () => reject(new ClientGone());
      request.once("end", resolve).once("error", onGone).once("close", onGone);
      request.on("data", (chunk: Uint8Array<ArrayBuffer>) => {
        length += chunk.length;
        if (length > maximumBodyBytes) reject(tooLarge);
        else chunks.push(chunk);
      });
    });
  } catch (error) {
    // A request has no event if its connection is closed because of bytes that follow it.
    throw clientSignal.aborted ? new ClientGone() : error;
  } finally {
    request.removeAllListeners("data");
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

/** Whether a request was received whole. */
function isComplete({ complete, headers }: IncomingMessage): boolean {
  // The runtime marks a request without a body as complete only after it has reported it.
  const { "content-length": length = "0", "transfer-encoding": coding } = headers;
  return complete || (length === "0" && coding === undefined);
}

const parserErrors: Readonly<Record<string, readonly [status: string, detail: string]>> = {
  ERR_HTTP_REQUEST_TIMEOUT: ["408 Request Timeout", "the request did not come in time"],
  HPE_HEADER_OVERFLOW: ["431 Request Header Fields Too Large", "the headers are too large"],
};

/** Answers bytes that are not an HTTP request, and closes the connection. */
export function refuseMalformed({ code = "" }: Error & { code?: string }, socket: Duplex): void {
  if (!socket.writable) return void socket.destroy();
  const [status, detail] = parserErrors[code] ?? ["400 Bad Request", "this is not an HTTP request"];
  const body = JSON.stringify({ detail });
  const head = `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: application/json\r\n` +
    `Content-Length: ${body.length}\r\n\r\n`;
  // Not only `end()`: a client may never close its end.
  socket.end(head + body, () => socket.destroy());
}
