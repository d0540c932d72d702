import type * as Https from "node:https";
import type { Certificates } from "./certificates.ts";
import {
  checkPeer,
  createAgent,
  hostAndPort,
  type MasterAddress,
  type TlsModules,
} from "./connection.ts";
import { explainFailure, isTrustFailure, noConnection, noReply } from "./trust.ts";

/**
 * Reads a `Retry-After` header, which is a number of seconds or a date, as milliseconds from `now`
 * (milliseconds since 1970). Null when there is none, or none that can be understood.
 */
export function parseRetryAfter(value: string | null, now: number): number | null {
  if (value === null) return null;
  if (/^\d+$/.test(value)) return Number(value) * 1000;
  // Date.parse takes far more than a date of HTTP, such as "-5"; letters tell them apart.
  const date = /^[A-Z][a-z]{2}/.test(value) ? Date.parse(value) : NaN;
  return Number.isNaN(date) ? null : Math.max(0, date - now);
}

/** Who wakes up so much too late was not running, in milliseconds. */
const lateMs = 100;
/** How much longer it then waits, in milliseconds. */
const graceMs = 1_000;

/**
 * Calls `onDue` after `ms`; the answer is a function that calls it off. Where the process was stopped
 * until after that time it calls once later, by a second: what came meanwhile has not been read yet.
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
/** The connection is made anew after so many failures in a row. */
const failuresToReconnect = 2;

/** What the master answered. */
export interface MasterReply {
  readonly status: number;
  /** The header as it came, or null. */
  readonly retryAfter: string | null;
  /** The beginning of the body. */
  readonly text: string;
}

/** Bounds of one request, in milliseconds. */
interface SendOptions {
  /** Until the TCP connection stands, name resolution included. */
  readonly connectTimeoutMs?: number;
  /** For all of it. */
  readonly timeoutMs?: number;
}

/** One request, sent again unchanged when the kept connection turns out to be dead. */
interface Exchange extends Required<SendOptions> {
  readonly path: string;
  readonly body: string;
  readonly certificates: Certificates;
  readonly signal: AbortSignal;
  /** From when the bounds count, on the clock of `performance.now()`. */
  readonly startedAt: number;
}

/** Sends JSON to the master over mutual TLS, on one connection that is kept between requests. */
export class MasterClient {
  readonly #modules: TlsModules;
  readonly #address: MasterAddress;
  readonly #headers: Record<string, string>;
  #agent: Https.Agent;
  #certificates: Certificates | null = null;
  #failures = 0;

  private constructor(modules: TlsModules, address: MasterAddress, userAgent: string) {
    this.#modules = modules;
    this.#address = address;
    this.#headers = { "content-type": "application/json", "user-agent": userAgent };
    this.#agent = createAgent(this.#modules);
  }

  /** Loads TLS, which a host without a master starts faster without; connects to nothing yet. */
  static async create(address: MasterAddress, userAgent: string): Promise<MasterClient> {
    const [https, net, tls] = await Promise.all([
      import("node:https"),
      import("node:net"),
      import("node:tls"),
    ]);
    return new MasterClient({ https, net, tls }, address, userAgent);
  }

  /**
   * Posts `body` and answers the reply, whatever its status. Throws `Error`, whose message is fit
   * for an operator, when no reply comes.
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
    if (certificates !== this.#certificates) this.#reconnect();
    this.#certificates = certificates;
    try {
      const reply = await this.#exchange(exchange).catch((error) => {
        // The master or a firewall dropped the idle connection, which says nothing of the master.
        if (!(error instanceof StaleConnection)) throw error;
        return this.#exchange(exchange);
      });
      this.#count(reply.status >= 200 && reply.status < 300);
      return reply;
    } catch (cause) {
      this.#count(false);
      let why = explainFailure(cause);
      if (isTrustFailure(cause)) {
        const { diagnoseTrustFailure } = await import("./trust.ts");
        const leftMs = timeoutMs - (performance.now() - startedAt);
        const look = { authority: certificates.authority, timeoutMs: leftMs, signal };
        why = await diagnoseTrustFailure(this.#modules, this.#address, look) ?? why;
      }
      throw new Error(`Cannot reach the master at ${hostAndPort(this.#address)}: ${why}`, {
        cause,
      });
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
    this.#agent = createAgent(this.#modules);
  }

  #exchange(
    { path, body, certificates, signal, startedAt, connectTimeoutMs, timeoutMs }: Exchange,
  ): Promise<MasterReply> {
    const { host, port, name } = this.#address;
    const { authority, certificate, key } = certificates;
    const elapsedMs = performance.now() - startedAt;
    const { promise, resolve, reject } = Promise.withResolvers<MasterReply>();
    // Once the head of the answer is here its status counts, however the rest of it ends.
    let finish: (() => void) | null = null;
    const sent = this.#modules.https.request({
      host,
      port,
      path,
      method: "POST",
      headers: {
        ...this.#headers,
        "content-length": String(new TextEncoder().encode(body).length),
      },
      agent: this.#agent,
      ca: authority,
      cert: certificate,
      key,
      // An address cannot be asked for by SNI, only checked.
      servername: this.#modules.net.isIP(name) ? "" : name,
      rejectUnauthorized: true,
      minVersion: "TLSv1.2",
      // Runs after the chain was verified; an error that it answers refuses the master.
      checkServerIdentity: (_host, peer) => checkPeer(this.#address, peer, this.#modules.tls),
    }, (response) => {
      let text = "";
      let length = 0;
      const keep = finish = () => {
        const retryAfter = response.headers["retry-after"] ?? null;
        const kept = text.slice(0, keptReplyLength).toWellFormed();
        resolve({ status: response.statusCode ?? 0, retryAfter, text: kept });
      };
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        if (text.length < keptReplyLength) text += chunk;
        length += chunk.length;
        if (length <= maximumReplyLength) return;
        keep();
        sent.destroy();
      });
      response.on("end", keep);
      response.on("error", keep);
    });
    const fail = (error: Error) => {
      reject(error);
      // The runtime would send it once more, to a master that the caller takes for out of reach.
      sent.reusedSocket = false;
      sent.destroy();
    };
    const abort = () => fail(signal.reason);
    const within = (ms: number, error: Error) => startDeadline(ms - elapsedMs, () => fail(error));
    const stopConnecting = within(connectTimeoutMs, noConnection(connectTimeoutMs));
    const stopAnswering = within(timeoutMs, noReply(timeoutMs));
    signal.addEventListener("abort", abort, { once: true });
    sent.on("socket", (socket) => {
      if (socket.connecting) socket.once("connect", stopConnecting);
      else stopConnecting();
    });
    sent.on("error", (error: Error & { code?: string }) => {
      finish?.();
      const stale = sent.reusedSocket && (error.code === "ECONNRESET" || error.code === "EPIPE");
      reject(stale ? new StaleConnection() : error);
    });
    sent.on("close", () => {
      finish?.();
      reject(new Error("it closed the connection before it answered"));
    });
    if (signal.aborted) abort();
    else sent.end(body);
    return promise.finally(() => {
      stopConnecting();
      stopAnswering();
      signal.removeEventListener("abort", abort);
    });
  }
}

/** A kept connection turned out to be dead before an answer came. */
class StaleConnection extends Error {
  override readonly message = "it closed the connection";
}
