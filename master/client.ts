import type { IncomingMessage } from "node:http";
import type { RequestOptions } from "node:https";
import { nodeModule } from "../host/process.ts";
import type { Certificates } from "./certificates.ts";
import { type Chain, chainOf } from "./chain.ts";
import { ConnectionError, createAgent, hostAndPort, type MasterAddress } from "./connection.ts";
import { diagnoseFailure, masterFailure, tlsOptions } from "./trust.ts";

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

/** Time limits of one request, in milliseconds. */
interface SendOptions {
  /** For name resolution and the TCP connection. */
  readonly connectTimeoutMs?: number;
  /** For the whole request. */
  readonly timeoutMs?: number;
}

/** One request; sent a second time when the kept connection turns out to be closed. */
interface Exchange extends Required<SendOptions> {
  readonly path: string;
  readonly body: string;
  readonly certificates: Certificates;
  readonly signal: AbortSignal;
  /** When the time limits began, as `performance.now()`. */
  readonly startedAt: number;
}

/** Sends JSON to the master over mutual TLS, on one connection that is kept between requests. */
export class MasterClient {
  readonly #address: MasterAddress;
  readonly #userAgent: string;
  #agent = createAgent();
  #certificates: Certificates | null = null;
  /** What the master at the other end of the connection has presented. */
  #chain: Chain | null = null;
  #failures = 0;

  constructor(address: MasterAddress, userAgent: string) {
    this.#address = address;
    this.#userAgent = userAgent;
  }

  /**
   * Posts `body` and returns the reply, whatever its status. Throws `Error` for an operator when no
   * reply comes; its cause is a `ConnectionError` or a `TrustError`.
   */
  async post(
    path: string,
    body: string,
    certificates: Certificates,
    signal: AbortSignal,
    { connectTimeoutMs = 5_000, timeoutMs = 10_000 }: SendOptions = {},
  ): Promise<MasterReply> {
    const startedAt = performance.now();
    const exchange = { path, body, certificates, signal, startedAt, connectTimeoutMs, timeoutMs };
    // A kept connection may outlast the master's certificate.
    const isUntrusted = this.#chain &&
      masterFailure(this.#chain, this.#address, certificates.authority);
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
      const cause = await diagnoseFailure(error, {
        address: this.#address,
        authority: certificates.authority,
        timeoutMs: timeoutMs - (performance.now() - startedAt),
        signal,
      });
      const where = hostAndPort(this.#address);
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
    const { body, signal, startedAt, connectTimeoutMs, timeoutMs } = exchange;
    const { promise, resolve, reject } = Promise.withResolvers<MasterReply>();
    const collector = new ReplyCollector(resolve);
    const request = nodeModule("node:https").request(
      this.#requestOptions(exchange),
      (response) => collector.begin(response),
    );
    const fail = (error: Error) => {
      reject(error);
      // Otherwise the runtime sends the request again after it was reported as failed.
      request.reusedSocket = false;
      request.destroy();
    };
    const elapsedMs = performance.now() - startedAt;
    const startTimer = (ms: number, reason: "no-connection" | "no-reply") =>
      startDeadline(ms - elapsedMs, () => fail(new ConnectionError(reason, `${ms / 1000} s`)));
    const stopConnecting = startTimer(connectTimeoutMs, "no-connection");
    const stopAnswering = startTimer(timeoutMs, "no-reply");
    const abort = () => fail(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    request.on("socket", (socket) => {
      if (socket.connecting) socket.once("connect", stopConnecting);
      else stopConnecting();
    });
    request.on("error", (error: Error & { code?: string }) => {
      collector.finish();
      const isStale = request.reusedSocket &&
        (error.code === "ECONNRESET" || error.code === "EPIPE");
      reject(isStale ? new StaleConnection("closed") : error);
    });
    request.on("close", () => {
      collector.finish();
      reject(new ConnectionError("closed"));
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

  #requestOptions({ path, body, certificates }: Exchange): RequestOptions {
    const { host, port } = this.#address;
    return {
      ...tlsOptions(this.#address),
      host,
      port,
      path,
      method: "POST",
      headers: {
        "content-type": "application/json",
        "user-agent": this.#userAgent,
        "content-length": String(new TextEncoder().encode(body).length),
      },
      agent: this.#agent,
      ca: certificates.authority,
      cert: certificates.certificate,
      key: certificates.key,
      rejectUnauthorized: true,
      // Called after the chain is verified; to return an error refuses the master.
      checkServerIdentity: (_host, peer) => {
        this.#chain = chainOf(() => peer);
        return masterFailure(this.#chain, this.#address, certificates.authority) ?? undefined;
      },
    };
  }
}

/** Collects the beginning of a reply. After its head the status counts, even if the body fails. */
class ReplyCollector {
  readonly #resolve: (reply: MasterReply) => void;
  #response: IncomingMessage | null = null;
  #text = "";
  #length = 0;

  constructor(resolve: (reply: MasterReply) => void) {
    this.#resolve = resolve;
  }

  begin(response: IncomingMessage): void {
    this.#response = response;
    response.setEncoding("utf8");
    response.on("data", (chunk: string) => this.#add(chunk));
    response.on("end", () => this.finish());
    response.on("error", () => this.finish());
  }

  /** Resolves with what has arrived; does nothing before the head of the reply. */
  finish(): void {
    if (!this.#response) return;
    const { statusCode: status = 0, headers } = this.#response;
    const text = this.#text.slice(0, keptReplyLength).toWellFormed();
    this.#resolve({ status, retryAfter: headers["retry-after"] ?? null, text });
  }

  #add(chunk: string): void {
    if (this.#text.length < keptReplyLength) this.#text += chunk;
    this.#length += chunk.length;
    if (this.#length <= maximumReplyLength) return;
    this.finish();
    this.#response?.destroy();
  }
}

/** A kept connection was closed before a reply came. */
class StaleConnection extends ConnectionError {}
