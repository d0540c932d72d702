import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { Socket } from "node:net";
import { pipeline, Readable } from "node:stream";
import type { TlsOptions, TLSSocket } from "node:tls";
import type { IssuedCertificate } from "./certificates.ts";
import { assertNoSecrets } from "./secrets.ts";
import { type ServerOptions, TlsServer } from "./tls_server.ts";

/** How the master answers a heartbeat. */
export type MasterAnswer =
  | { kind?: never; status: number; headers?: Record<string, string>; body?: string }
  /** With a status, after so long. */
  | { kind: "late"; status: number; ms: number }
  /** Never. */
  | { kind: "hang" }
  /** Never, and it stops reading: it does not see the client close the connection either. */
  | { kind: "half-open" }
  /** With a head that comes byte by byte, for some 20 s. */
  | { kind: "drip-head" }
  /** With a head and then an endless body. */
  | { kind: "drip"; bytesPerSecond: number }
  | { kind: "huge"; bytes: number }
  /** It closes the connection. */
  | { kind: "reset" }
  /** It closes the connection in the middle of the body. */
  | { kind: "cut"; status: number }
  | { kind: "custom"; give: (request: IncomingMessage, response: ServerResponse) => void };

/** Answers a heartbeat. */
function giveAnswer(
  answer: MasterAnswer,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  switch (answer.kind) {
    case undefined:
      response.writeHead(answer.status, answer.headers).end(answer.body);
      break;
    case "late": {
      const timer = setTimeout(() => response.writeHead(answer.status).end(), answer.ms);
      response.on("close", () => clearTimeout(timer));
      break;
    }
    case "hang":
      break;
    case "half-open":
      request.socket.pause();
      break;
    case "drip-head": {
      const bytes = [..."HTTP/1.1 204 No Content\r\nserver: the master\r\nage: 1\r\n\r\n"];
      repeat(request.socket, 300, () => request.socket.write(bytes.shift() ?? ""));
      break;
    }
    case "drip":
      response.writeHead(200, { "content-type": "application/json" });
      repeat(request.socket, 1000 / answer.bytesPerSecond, () => response.write(" "));
      break;
    case "huge": {
      const { bytes } = answer;
      response.writeHead(200, { "content-type": "application/json", "content-length": bytes });
      // A client that stops reading in the middle is what this is for.
      pipeline(Readable.from(hugeBody(bytes)), response, () => {});
      break;
    }
    case "reset":
      request.socket.destroy();
      break;
    case "cut":
      response.writeHead(answer.status, { "content-length": 1_000, "retry-after": "7" });
      response.write("half", () => request.socket.destroy());
      break;
    case "custom":
      answer.give(request, response);
      break;
  }
}

/** Does something every `ms` until the connection is closed. */
function repeat(socket: Socket, ms: number, work: () => void): void {
  const timer = setInterval(work, ms);
  socket.on("close", () => clearInterval(timer));
}

/** Answers with an error of the form that the master uses. */
function refuse(response: ServerResponse, status: number, detail: string): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify({ detail }));
}

const chunkBytes = 65_536;

/** A JSON string of `bytes` bytes, of which never more than one chunk is held. */
function* hugeBody(bytes: number): Generator<string> {
  const filler = "a".repeat(chunkBytes);
  yield '"';
  for (let left = bytes - 2; left > 0; left -= chunkBytes) yield filler.slice(0, left);
  yield '"';
}

const heartbeatPath = "/swarm/heartbeat";
const heartbeatsKept = 1000;

/** One received heartbeat; `receivedAt` is in milliseconds since 1970. */
interface ReceivedHeartbeat {
  body: unknown;
  clientCommonName: string;
  /** The SHA-256 of the client's certificate, `AB:CD:…`. */
  clientFingerprint: string;
  receivedAt: number;
}

/** What a master is started with. */
interface TlsMasterOptions extends ServerOptions {
  /** How long an idle connection is kept, in milliseconds; else as long as the server likes. */
  keepAliveMs?: number;
  /** Replaces options of the TLS server. */
  tls?: TlsOptions;
}

/**
 * A stand-in for the master: a real HTTPS server that demands client certificates, records heartbeats
 * and answers them as it is told. controller.ts answers and calls as the real master does.
 */
export class TlsMaster extends TlsServer {
  /**
   * One answer for every heartbeat, a list that is used up one by one (then 204 again), or a
   * function of the heartbeat's number, which starts at 1.
   */
  answer: MasterAnswer | MasterAnswer[] | ((heartbeatNumber: number) => MasterAnswer) = {
    status: 204,
  };
  /** The last 1000 heartbeats, oldest first. */
  readonly heartbeats: ReceivedHeartbeat[] = [];
  /** How many heartbeats have come since the start. */
  heartbeatCount = 0;
  /** How many TCP connections have come since the start. */
  tcpConnectionCount = 0;
  /** How many TLS connections had a client certificate. */
  certificateCount = 0;
  /** How many bytes have come in TLS connections. */
  receivedBytes = 0;
  /** How many connections have passed the TLS handshake since the start. */
  connectionCount = 0;
  /** How many of them are still open as far as the master knows. */
  openConnections = 0;

  #waiting: ((heartbeat: ReceivedHeartbeat) => void)[] = [];

  private constructor(server: Server) {
    super(server);
    server.on("connection", () => this.tcpConnectionCount++);
    server.on("secureConnection", (socket: TLSSocket) => {
      this.connectionCount++;
      this.openConnections++;
      if (socket.getPeerCertificate()?.subject) this.certificateCount++;
      socket.on("data", ({ length }) => this.receivedBytes += length);
      socket.on("close", () => this.openConnections--);
    });
    server.on("request", (request, response) => void this.#handle(request, response));
  }

  /** Starts a master; throws when the port is taken. */
  static async start({ keepAliveMs, tls, ...options }: TlsMasterOptions): Promise<TlsMaster> {
    const server = createServer({ ...this.optionsOf(options), ...tls });
    if (keepAliveMs !== undefined) server.keepAliveTimeout = keepAliveMs;
    return await new TlsMaster(server).listen(options);
  }

  /** Resolves at the next heartbeat; throws when none comes within `timeoutMs`. */
  nextHeartbeat(timeoutMs = 5000): Promise<ReceivedHeartbeat> {
    const { promise, resolve, reject } = Promise.withResolvers<ReceivedHeartbeat>();
    const timer = setTimeout(() => {
      this.#waiting = this.#waiting.filter((waiting) => waiting !== resolve);
      reject(new Error(`No heartbeat within ${timeoutMs} ms`));
    }, timeoutMs);
    this.#waiting.push(resolve);
    return promise.finally(() => clearTimeout(timer));
  }

  /** Presents another certificate on new connections. */
  renew({ certificatePem: cert, keyPem: key }: IssuedCertificate, ca: string): void {
    this.server.setSecureContext({ ca, cert, key });
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = "";
    try {
      request.setEncoding("utf8");
      for await (const part of request) text += part;
    } catch {
      return; // The client went away in the middle of its request.
    }
    if (request.method !== "POST" || request.url !== heartbeatPath) {
      return refuse(response, 404, "Not Found");
    }
    const body = parseBody(request, assertNoSecrets(text));
    if (body === undefined) return refuse(response, 422, "body is not JSON");
    const socket = request.socket as TLSSocket;
    const { fingerprint256: clientFingerprint } = socket.getPeerCertificate();
    const clientCommonName = commonNameOf(socket);
    this.#record({ body, clientCommonName, clientFingerprint, receivedAt: Date.now() });
    giveAnswer(this.#nextAnswer(), request, response);
  }

  #record(heartbeat: ReceivedHeartbeat): void {
    this.heartbeatCount++;
    this.heartbeats.push(heartbeat);
    if (this.heartbeats.length > heartbeatsKept) this.heartbeats.shift();
    for (const settle of this.#waiting.splice(0)) settle(heartbeat);
  }

  #nextAnswer(): MasterAnswer {
    if (typeof this.answer === "function") return this.answer(this.heartbeatCount);
    return Array.isArray(this.answer) ? this.answer.shift() ?? { status: 204 } : this.answer;
  }
}

/** The parsed body, or undefined when it is not JSON or does not say so. */
function parseBody(request: IncomingMessage, text: string): unknown {
  if (!request.headers["content-type"]?.startsWith("application/json")) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function commonNameOf(socket: TLSSocket): string {
  const name = socket.getPeerCertificate().subject?.CN;
  return Array.isArray(name) ? name.join(" ") : name ?? "";
}
