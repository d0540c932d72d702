import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { pipeline, Readable } from "node:stream";
import type { TLSSocket } from "node:tls";
import type { Authority, IssuedCertificate } from "./certificates.ts";
import { assertNoSecrets } from "./secrets.ts";

const chunkBytes = 65_536;

/**
 * How the master answers a beat: with a status; with one after so long (`late`); never (`hang`); never, and no longer reading
 * either, not even the client's goodbye (`half-open`); with a head and then an endless body at so
 * many bytes a second (`drip`); with a body of so many bytes (`huge`); by cutting the connection
 * (`reset`), or by cutting it in the middle of the body (`cut`).
 */
export type MasterAnswer =
  | {
    kind?: never;
    status: number;
    headers?: Record<string, string>;
    body?: string;
  }
  | { kind: "late"; status: number; ms: number }
  | { kind: "hang" }
  | { kind: "half-open" }
  | { kind: "drip"; bytesPerSecond: number }
  | { kind: "huge"; bytes: number }
  | { kind: "reset" }
  | { kind: "cut"; status: number };

/** Answers a beat. */
function giveAnswer(
  answer: MasterAnswer,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  switch (answer.kind) {
    case undefined:
      response.writeHead(answer.status, answer.headers);
      response.end(answer.body);
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
    case "drip":
      drip(response, answer.bytesPerSecond);
      break;
    case "huge":
      response.writeHead(200, {
        "content-type": "application/json",
        "content-length": answer.bytes,
      });
      // A client that stops reading in the middle is what this is for.
      pipeline(Readable.from(hugeBody(answer.bytes)), response, () => {});
      break;
    case "reset":
      request.socket.destroy();
      break;
    case "cut":
      response.writeHead(answer.status, { "content-length": 1_000, "retry-after": "7" });
      response.write("half", () => request.socket.destroy());
      break;
  }
}

function drip(response: ServerResponse, bytesPerSecond: number): void {
  response.writeHead(200, { "content-type": "application/json" });
  const timer = setInterval(() => response.write(" "), 1000 / bytesPerSecond);
  response.on("close", () => clearInterval(timer));
}

/** Answers with an error of the form that the master uses. */
function refuse(
  response: ServerResponse,
  status: number,
  detail: string,
): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify({ detail }));
}

/** A JSON string of `bytes` bytes, of which never more than one chunk is held. */
function* hugeBody(bytes: number): Generator<string> {
  const filler = "a".repeat(chunkBytes);
  yield '"';
  for (let left = bytes - 2; left > 0; left -= chunkBytes) {
    yield filler.slice(0, left);
  }
  yield '"';
}

/** A stand-in for the master: a real HTTPS server that demands client certificates. */

const BEAT_PATH = "/swarm/heartbeat";
const BEATS_KEPT = 1000;

/** One received beat; `receivedAt` is in milliseconds since 1970. */
interface ReceivedHeartbeat {
  body: unknown;
  clientCommonName: string;
  receivedAt: number;
}

/** What a master is started with; port 0, the default, takes a free one. */
interface TlsMasterOptions {
  authority: Pick<Authority, "certificatePem">;
  certificate: IssuedCertificate;
  port?: number;
  /** How long an idle connection is kept, in milliseconds; else as long as the server likes. */
  keepAliveMs?: number;
}

/** Plays the master on 127.0.0.1, records beats and answers them as it is told. */
export class TlsMaster implements AsyncDisposable {
  /**
   * One answer for every beat, a list that is used up beat by beat (then 204 again), or a function
   * of the beat's number, which starts at 1.
   */
  answer:
    | MasterAnswer
    | MasterAnswer[]
    | ((heartbeatNumber: number) => MasterAnswer) = { status: 204 };
  /** The last 1000 beats, oldest first. */
  readonly heartbeats: ReceivedHeartbeat[] = [];
  /** How many beats have come since the start. */
  heartbeatCount = 0;
  /** How many connections have passed the TLS handshake since the start. */
  connectionCount = 0;
  /** How many of them are still open as far as the master knows. */
  openConnections = 0;

  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #waiting: ((heartbeat: ReceivedHeartbeat) => void)[] = [];

  private constructor(server: Server) {
    this.#server = server;
    server.on("connection", (socket: Socket) => this.#track(socket));
    server.on("secureConnection", (socket: TLSSocket) => {
      this.connectionCount++;
      this.openConnections++;
      socket.on("close", () => this.openConnections--);
      this.#track(socket);
    });
    server.on(
      "request",
      (request: IncomingMessage, response: ServerResponse) => {
        this.#handle(request, response);
      },
    );
  }

  /** Starts a master; throws when the port is taken. */
  static async start(options: TlsMasterOptions): Promise<TlsMaster> {
    const server = createServer({
      ca: options.authority.certificatePem,
      cert: options.certificate.certificatePem,
      key: options.certificate.keyPem,
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: "TLSv1.2",
    });
    if (options.keepAliveMs !== undefined) server.keepAliveTimeout = options.keepAliveMs;
    const master = new TlsMaster(server);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(options.port ?? 0, "127.0.0.1", () => resolve());
    });
    return master;
  }

  /** The port it listens on. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Resolves at the next beat; throws when none comes within `timeoutMs`. */
  nextHeartbeat(timeoutMs = 5000): Promise<ReceivedHeartbeat> {
    return new Promise((resolve, reject) => {
      const settle = (heartbeat: ReceivedHeartbeat) => {
        clearTimeout(timer);
        resolve(heartbeat);
      };
      const timer = setTimeout(() => {
        this.#waiting = this.#waiting.filter((waiting) => waiting !== settle);
        reject(new Error(`No beat within ${timeoutMs} ms`));
      }, timeoutMs);
      this.#waiting.push(settle);
    });
  }

  /** Closes the port and every connection at once. */
  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  /** Same as {@linkcode stop}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#sockets.delete(socket));
  }

  async #handle(
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    let text = "";
    try {
      request.setEncoding("utf8");
      for await (const part of request) text += part;
    } catch {
      return; // The client went away in the middle of its request.
    }
    if (request.method !== "POST" || request.url !== BEAT_PATH) {
      return refuse(response, 404, "Not Found");
    }
    const body = parseBody(request, assertNoSecrets(text));
    if (body === undefined) return refuse(response, 422, "body is not JSON");
    this.#record({
      body,
      clientCommonName: commonNameOf(request.socket as TLSSocket),
      receivedAt: Date.now(),
    });
    giveAnswer(this.#nextAnswer(), request, response);
  }

  #record(heartbeat: ReceivedHeartbeat): void {
    this.heartbeatCount++;
    this.heartbeats.push(heartbeat);
    if (this.heartbeats.length > BEATS_KEPT) this.heartbeats.shift();
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const settle of waiting) settle(heartbeat);
  }

  #nextAnswer(): MasterAnswer {
    if (typeof this.answer === "function") return this.answer(this.heartbeatCount);
    if (Array.isArray(this.answer)) {
      return this.answer.shift() ?? { status: 204 };
    }
    return this.answer;
  }
}

/** The parsed body, or undefined when it is not JSON or does not say so. */
function parseBody(request: IncomingMessage, text: string): unknown {
  if (!request.headers["content-type"]?.startsWith("application/json")) {
    return undefined;
  }
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
