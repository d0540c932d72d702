import type { TLSSocket } from "node:tls";
import { BodyBuffer, ResponseReader } from "../host/http.ts";
import { hostAndPort } from "../host/log.ts";
import type { StepLimits } from "../host/process.ts";
import { TimeoutSet } from "../host/timeouts.ts";
import type { Certificates } from "./certificates.ts";
import { type Chain, chainOf } from "./chain.ts";
import { ConnectionError, connectionError, connectTo, type MasterAddress } from "./connection.ts";
import { masterFailure, startTls, TrustError } from "./trust.ts";

/** Parses a `Retry-After` header, seconds or a date, to milliseconds from `now`; null if invalid. */
export function parseRetryAfter(value: string | null, now: number): number | null {
  if (value === null) return null;
  if (/^\d+$/.test(value)) return Number(value) * 1000;
  // Date.parse also accepts "-5" and more; a date of HTTP begins with letters.
  const date = /^[A-Z][a-z]{2}/.test(value) ? Date.parse(value) : NaN;
  return Number.isNaN(date) ? null : Math.max(0, date - now);
}

/** Limits of a reply, in bytes. */
const maximumHeadBytes = 16 * 1024;
const maximumBodyBytes = 64 * 1024;
/** How much of a reply is kept, in characters. */
const keptReplyLength = 200;
/** After so long without traffic, the kernel probes: firewalls forget idle connections. */
const keepAliveMs = 30_000;
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

type MasterRequest = { readonly path: string; readonly body: string; readonly signal: AbortSignal };

/** Sends JSON to the master over mutual TLS, one request at a time, on a connection that is kept. */
export class MasterClient {
  /** The connection between two requests. */
  #kept: MasterConnection | null = null;
  #certificates: Certificates | null = null;
  #failures = 0;
  readonly #timeouts = new TimeoutSet();

  constructor(readonly address: MasterAddress, readonly userAgent: string) {}

  /**
   * Posts `body` and returns the reply, whatever its status. `connectTimeoutMs` is for TCP alone. Throws
   * `Error` for an operator without a reply; its cause is a `ConnectionError` or a `TrustError`.
   */
  async post(
    path: string,
    body: string,
    certificates: Certificates,
    signal: AbortSignal,
    { connectTimeoutMs = 5_000, timeoutMs = 10_000 } = {},
  ): Promise<MasterReply> {
    // A kept connection may outlast the master's certificate.
    const isUntrusted = this.#kept &&
      masterFailure(this.#kept.chain, this.address, certificates.authority);
    if (certificates !== this.#certificates || isUntrusted) this.close();
    this.#certificates = certificates;
    const ended = new AbortController();
    const startTimer = (ms: number, reason: "no-connection" | "no-reply") => {
      const late = new ConnectionError(reason, `${ms / 1000} s`);
      return this.#timeouts.start(ms, () => ended.abort(late));
    };
    const stopAnswering = startTimer(timeoutMs, "no-reply");
    const abort = () => ended.abort(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    const connect = async () => {
      const stopConnecting = startTimer(connectTimeoutMs, "no-connection");
      const limits = { timeoutMs, signal: ended.signal };
      return await this.#connect(certificates, stopConnecting, limits).finally(stopConnecting);
    };
    try {
      signal.throwIfAborted();
      const request = { path, body, signal: ended.signal };
      const reply = await this.#postOnKept(request) ?? await this.#postOn(await connect(), request);
      this.#count(reply.status >= 200 && reply.status < 300);
      return reply;
    } catch (error) {
      this.#count(false);
      const reason = ended.signal.aborted ? ended.signal.reason : error;
      const cause = reason instanceof TrustError ? reason : connectionError(reason);
      const where = hostAndPort(this.address);
      throw new Error(`Cannot reach the master at ${where}: ${cause.message}`, { cause });
    } finally {
      stopAnswering();
      signal.removeEventListener("abort", abort);
    }
  }

  /** Closes the connection. */
  close(): void {
    this.#kept?.close();
    this.#kept = null;
  }

  #count(success: boolean): void {
    this.#failures = success ? 0 : this.#failures + 1;
    if (this.#failures % failuresToReconnect === 0 && !success) this.close();
  }

  /** Returns null where there is no kept connection, or the master or a firewall has closed it. */
  async #postOnKept(request: MasterRequest): Promise<MasterReply | null> {
    const kept = this.#kept;
    this.#kept = null;
    if (!kept || kept.end) return null;
    return await this.#postOn(kept, request).catch((error) => {
      if (error instanceof StaleConnection) return null;
      throw error;
    });
  }

  /** Posts a request, and keeps the connection if it stays open. */
  async #postOn(connection: MasterConnection, request: MasterRequest): Promise<MasterReply> {
    const reply = await connection.post(request);
    if (!connection.end) this.#kept = connection;
    return reply;
  }

  /** Opens a connection; calls `onTcp` once TCP is connected. */
  async #connect(certificates: Certificates, onTcp: () => void, limits: StepLimits) {
    const tcp = await connectTo(this.address, limits);
    onTcp();
    const socket = await startTls(tcp, this.address, certificates, limits);
    return new MasterConnection(socket, hostAndPort(this.address), this.userAgent);
  }
}

/** A TLS connection to the master, for one request after another. */
class MasterConnection {
  readonly #socket: TLSSocket;
  readonly #fixedHeaders: string;
  readonly #answers: ResponseReader;
  /** What the master has presented. */
  readonly chain: Chain | null;
  /** What was received and is not read yet. */
  #received: Uint8Array[] = [];
  /** Why the connection is closed; null while it is open. */
  end: { readonly error: Error | null } | null = null;
  /** Ends the wait for more bytes. */
  #wake = () => {};
  #isBusy = false;
  /** Whether there has been a whole reply, and whether that to the current request has begun. */
  #isUsed = false;
  #hasReply = false;

  constructor(socket: TLSSocket, host: string, userAgent: string) {
    this.#socket = socket;
    this.#fixedHeaders = `host: ${host}\r\nuser-agent: ${userAgent}\r\n` +
      "content-type: application/json\r\n";
    const read = (into: Uint8Array) => this.#read(into);
    this.#answers = new ResponseReader(read, maximumBodyBytes, maximumHeadBytes);
    this.chain = chainOf(() => socket.getPeerCertificate(true));
    socket.setKeepAlive(true, keepAliveMs)
      .on("data", (bytes) => this.#receive(bytes))
      .on("error", (error) => this.close(error))
      .on("end", () => this.close())
      .on("close", () => this.close());
  }

  /**
   * Sends a request and returns its reply; then the connection may be closed. Throws why it was closed
   * before, the reason of `signal`, `HttpError`, or `StaleConnection` if it can be sent on another.
   */
  async post({ path, body, signal }: MasterRequest): Promise<MasterReply> {
    const abort = () => this.close(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    this.#isBusy = true;
    this.#hasReply = false;
    try {
      signal.throwIfAborted();
      const length = new TextEncoder().encode(body).length;
      const head = `POST ${path} HTTP/1.1\r\n${this.#fixedHeaders}content-length: ${length}`;
      this.#socket.write(`${head}\r\n\r\n${body}`);
      return await this.#readReply(signal);
    } catch (error) {
      this.close();
      throw error;
    } finally {
      this.#isBusy = false;
      signal.removeEventListener("abort", abort);
    }
  }

  /** After the head of a reply its status counts, even if the body fails. */
  async #readReply(signal: AbortSignal): Promise<MasterReply> {
    const head = await this.#answers.readHead();
    const body = new BodyBuffer(maximumBodyBytes);
    const isWhole = await this.#answers.readBody(head, body).then(() => true, () => false);
    // Nothing is read yet of a body that is announced too large.
    if (!isWhole && body.length === 0) {
      const count = await this.#answers.readRest(body.reserve(maximumBodyBytes)).catch(() => null);
      body.commit(count ?? 0);
    }
    signal.throwIfAborted();
    // A reply may come before the request is sent whole.
    const isOver = this.#received.length === 0 && this.#answers.unreadBytes === 0 &&
      this.#socket.writableLength === 0;
    this.#isUsed = true;
    if (!isWhole || head.isLast || !isOver) this.close();
    const text = new TextDecoder().decode(body.bytes()).slice(0, keptReplyLength).toWellFormed();
    return { status: head.status, retryAfter: head.headers.get("retry-after") ?? null, text };
  }

  /** Reads what was received; null at the end. */
  async #read(into: Uint8Array): Promise<number | null> {
    while (this.#received.length === 0) {
      if (this.end) return this.#readEnd(this.end);
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    const bytes = this.#received[0]!;
    const part = bytes.subarray(0, into.length);
    into.set(part);
    if (part.length < bytes.length) this.#received[0] = bytes.subarray(part.length);
    else this.#received.shift();
    return part.length;
  }

  #readEnd({ error }: { readonly error: Error & { code?: string } | null }): null {
    const isClosed = error === null || error.code === "ECONNRESET" || error.code === "EPIPE";
    if (isClosed && this.#isUsed && !this.#hasReply) throw new StaleConnection("closed");
    if (error) throw error;
    return null;
  }

  #receive(bytes: Uint8Array): void {
    this.#received.push(bytes);
    this.#hasReply = true;
    // Nothing may be received between two requests.
    if (this.#isBusy) this.#wake();
    else this.close();
  }

  /** Closes the connection, `error` being the reason; closing it again does nothing. */
  close(error: Error | null = null): void {
    this.end ??= { error };
    this.#socket.destroy();
    this.#wake();
  }
}

/** A kept connection was closed before a reply came. */
class StaleConnection extends ConnectionError {}
