import type { IncomingMessage } from "node:http";
import type { Agent, RequestOptions } from "node:https";
import type { TLSSocket } from "node:tls";
import { nodeModule } from "../host/process.ts";
import type { Certificates } from "./certificates.ts";
import { type Chain, chainOf } from "./chain.ts";
import {
  ConnectionError,
  connectionError,
  connectTo,
  hostAndPort,
  type MasterAddress,
  type StepLimits,
} from "./connection.ts";
import { masterFailure, startTls, TrustError } from "./trust.ts";

/** Parses a `Retry-After` header, seconds or a date, to milliseconds from `now`; null if invalid. */
export function parseRetryAfter(value: string | null, now: number): number | null {
  if (value === null) return null;
  if (/^\d+$/.test(value)) return Number(value) * 1000;
  // Date.parse also accepts "-5" and more; a date of HTTP begins with letters.
  const date = /^[A-Z][a-z]{2}/.test(value) ? Date.parse(value) : NaN;
  return Number.isNaN(date) ? null : Math.max(0, date - now);
}

/** A timer that fires later than this shows that the process was stopped, in milliseconds. */
const lateMs = 100;
/** How long the deadline is extended then, in milliseconds. */
const graceMs = 1_000;

/**
 * Calls `onDue` after `ms`; returns a function that cancels it. If the process was stopped past that
 * time, waits one more second, so that an answer that arrived meanwhile is read first.
 */
export function startDeadline(ms: number, onDue: () => void): () => void {
  const dueAt = performance.now() + ms;
  let timer = setTimeout(() => {
    if (performance.now() - dueAt <= lateMs) onDue();
    else timer = setTimeout(onDue, graceMs);
  }, ms);
  return () => clearTimeout(timer);
}

const maximumReplyLength = 64 * 1024;
/** How much of a reply is kept, in characters. */
const keptReplyLength = 200;
/** After so many failures in a row the client reconnects. */
const failuresToReconnect = 2;

/** What the master answered. */
export interface MasterReply {
  readonly status: number;
  /** The header as it came, or null. */
  readonly retryAfter: string | null;
  /** The beginning of the body. */
  readonly text: string;
}

/** One request; sent a second time when the kept connection turns out to be closed. */
interface Exchange {
  readonly path: string;
  readonly body: string;
  readonly certificates: Certificates;
  readonly signal: AbortSignal;
  /** When the time limits began, as `performance.now()`. */
  readonly startedAt: number;
  readonly connectTimeoutMs: number;
  readonly timeoutMs: number;
}

/** Sends JSON to the master over mutual TLS, on one connection that is kept between requests. */
export class MasterClient {
  #agent = createAgent();
  #certificates: Certificates | null = null;
  /** What the master at the other end of the connection has presented. */
  #chain: Chain | null = null;
  #failures = 0;

  constructor(readonly address: MasterAddress, readonly userAgent: string) {}

  /**
   * Posts `body` and returns the reply, whatever its status. The first limit ends with the TCP connection.
   * Throws `Error` for an operator without a reply; its cause is a `ConnectionError` or a `TrustError`.
   */
  async post(
    path: string,
    body: string,
    certificates: Certificates,
    signal: AbortSignal,
    { connectTimeoutMs = 5_000, timeoutMs = 10_000 } = {},
  ): Promise<MasterReply> {
    const startedAt = performance.now();
    const exchange = { path, body, certificates, signal, startedAt, connectTimeoutMs, timeoutMs };
    // A kept connection may outlast the master's certificate.
    const isUntrusted = this.#chain &&
      masterFailure(this.#chain, this.address, certificates.authority);
    if (certificates !== this.#certificates || isUntrusted) this.#reconnect();
    this.#certificates = certificates;
    try {
      const reply = await this.#exchange(exchange).catch((error) => {
        // The master or a firewall closed the idle connection: try once on a new one.
        if (!(error instanceof StaleConnection)) throw error;
        return this.#exchange(exchange);
      });
      this.#count(reply.status >= 200 && reply.status < 300);
      return reply;
    } catch (error) {
      this.#count(false);
      const cause = error instanceof TrustError ? error : connectionError(error);
      const where = hostAndPort(this.address);
      throw new Error(`Cannot reach the master at ${where}: ${cause.message}`, { cause });
    }
  }

  /** Closes the connection. */
  close(): void {
    this.#agent.destroy();
  }

  #count(success: boolean): void {
    this.#failures = success ? 0 : this.#failures + 1;
    if (this.#failures % failuresToReconnect === 0 && !success) this.#reconnect();
  }

  #reconnect(): void {
    this.#agent.destroy();
    this.#agent = createAgent();
    this.#chain = null;
  }

  async #exchange(exchange: Exchange): Promise<MasterReply> {
    const { body, certificates, signal, startedAt, connectTimeoutMs, timeoutMs } = exchange;
    const { promise, resolve, reject } = Promise.withResolvers<MasterReply>();
    const elapsedMs = performance.now() - startedAt;
    const startTimer = (ms: number, reason: "no-connection" | "no-reply") =>
      startDeadline(ms - elapsedMs, () => fail(new ConnectionError(reason, `${ms / 1000} s`)));
    const stopConnecting = startTimer(connectTimeoutMs, "no-connection");
    const stopAnswering = startTimer(timeoutMs, "no-reply");
    const failed = new AbortController();
    const createConnection: CreateConnection = (_options, callback) => {
      this.#connect(certificates, stopConnecting, { timeoutMs, signal: failed.signal })
        .then((socket) => callback(null, socket), callback);
    };
    // The types lack the form that returns the socket by the callback.
    this.#agent.createConnection = createConnection as unknown as Agent["createConnection"];
    const request = nodeModule("node:https").request(this.#requestOptions(exchange));
    let reply: IncomingMessage | null = null;
    request.on("response", (response) => {
      reply = response;
      readReply(response).then(resolve);
    });
    const fail = (error: Error) => {
      reject(error);
      // Otherwise the runtime sends the request again after it was reported as failed.
      request.reusedSocket = false;
      request.destroy();
      failed.abort(error);
    };
    const abort = () => fail(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    request.on("socket", stopConnecting);
    request.on("error", (error: Error & { code?: string }) => {
      if (reply) return;
      const isStale = request.reusedSocket &&
        (error.code === "ECONNRESET" || error.code === "EPIPE");
      reject(isStale ? new StaleConnection("closed") : error);
    });
    request.on("close", () => {
      if (reply) reply.destroy();
      else reject(new ConnectionError("closed"));
    });
    if (signal.aborted) abort();
    else request.end(body);
    try {
      return await promise;
    } finally {
      stopConnecting();
      stopAnswering();
      signal.removeEventListener("abort", abort);
    }
  }

  /** Opens a connection; calls `onTcp` once TCP is connected. */
  async #connect(
    certificates: Certificates,
    onTcp: () => void,
    limits: StepLimits,
  ): Promise<TLSSocket> {
    const tcp = await connectTo(this.address, limits);
    onTcp();
    const socket = await startTls(tcp, this.address, certificates, limits);
    this.#chain = chainOf(() => socket.getPeerCertificate(true));
    return socket;
  }

  #requestOptions({ path, body }: Exchange): RequestOptions {
    return {
      host: this.address.host,
      port: this.address.port,
      path,
      method: "POST",
      headers: {
        "content-type": "application/json",
        "user-agent": this.userAgent,
        "content-length": String(new TextEncoder().encode(body).length),
      },
      agent: this.#agent,
    };
  }
}

/** Reads the beginning of a reply. After its head the status counts, even if the body fails. */
async function readReply(response: IncomingMessage): Promise<MasterReply> {
  const { statusCode: status = 0, headers } = response;
  let [text, length] = ["", 0];
  try {
    for await (const chunk of response.setEncoding("utf8") as AsyncIterable<string>) {
      if (text.length < keptReplyLength) text += chunk;
      length += chunk.length;
      if (length > maximumReplyLength) break;
    }
  } catch {
    // The connection was cut within the body.
  }
  text = text.slice(0, keptReplyLength).toWellFormed();
  return { status, retryAfter: headers["retry-after"] ?? null, text };
}

/** Creates an agent that keeps one connection. */
function createAgent(): Agent {
  const { Agent } = nodeModule("node:https");
  // An empty `proxyEnv` keeps the runtime from using a proxy of the environment.
  const options = { keepAlive: true, maxSockets: 1, proxyEnv: {} };
  return new Agent(options);
}

/** Opens a connection, and returns nothing: the agent would take it for the socket. */
type CreateConnection = (
  options: RequestOptions,
  callback: (error: Error | null, socket?: TLSSocket) => void,
) => void;

/** A kept connection was closed before a reply came. */
class StaleConnection extends ConnectionError {}
