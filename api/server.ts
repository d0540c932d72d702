import type { IncomingMessage, ServerResponse } from "node:http";
import https from "node:https";
import type { AddressInfo, Server, Socket } from "node:net";
import type { Duplex } from "node:stream";
import type * as Tls from "node:tls";
import { hostAndPort, type Log } from "../host/log.ts";
import type { Identity } from "../master/certificates.ts";
import { ClientVerifier } from "./auth.ts";
import { affordableHandshakes, Connections, defaultLimits, type Limits } from "./connections.ts";
import { type ApiService, Exchange, type HandlerOptions, refuseMalformed } from "./routes.ts";

/** How often the listener is woken, in milliseconds. */
const wakeIntervalMs = 1_000;

/** Where the API listens, and which clients may call it. */
export interface ApiOptions {
  readonly host: string;
  /** 0 means any free port. */
  readonly port: number;
  /** One of them must be the only common name of a client's certificate. */
  readonly allowedNames: readonly string[];
  /** The folder of the certificates. */
  readonly certificates: {
    load(): Promise<{ readonly certificates: Identity; readonly problem: string | null }>;
  };
  readonly log: Log;
  /** How often certificates are reloaded, in milliseconds. */
  readonly reloadIntervalMs?: number;
  readonly limits?: Partial<Limits>;
}

/** Serves the API for the master. */
export class ApiServer {
  readonly #handlerOptions: HandlerOptions;
  readonly #connections: Connections;
  readonly #verifier: ClientVerifier;
  readonly #server: https.Server;
  #certificates: Identity | null = null;
  /** Why newer certificates are not used, or null; logged once. */
  #problem: string | null = null;
  #reloading: Promise<void> | null = null;
  #timers: ReturnType<typeof setInterval>[] = [];

  private constructor(
    service: ApiService,
    readonly options: ApiOptions,
  ) {
    const { log, allowedNames } = options;
    const limits = { ...defaultLimits, ...options.limits };
    this.#handlerOptions = { service, limits, log };
    const handshakes = affordableHandshakes(limits);
    this.#connections = new Connections(limits.maximumConnections, handshakes);
    this.#verifier = new ClientVerifier(allowedNames, log);
    this.#server = createServer(limits);
  }

  /** Starts to listen. Throws `Error` for an operator. */
  static async start(service: ApiService, options: ApiOptions): Promise<ApiServer> {
    const server = new ApiServer(service, options);
    await server.#load();
    server.#handleEvents();
    await listen(server.#server, options.host, options.port);
    server.#timers = [
      setInterval(() => wakeListener(server.#server), wakeIntervalMs),
      setInterval(() => server.#reload(), options.reloadIntervalMs ?? 5_000),
    ];
    return server;
  }

  /** The port it listens on. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Closes the port and all connections; requests get up to `stopTimeoutMs` for their answer. */
  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#connections.retire();
    const { stopTimeoutMs } = this.#handlerOptions.limits;
    const timer = setTimeout(() => this.#connections.destroy(), stopTimeoutMs);
    await closed;
    clearTimeout(timer);
    await this.#reloading;
  }

  #reload(): void {
    this.#reloading ??= this.#load().catch((error: Error) => this.#report(error.message))
      .finally(() => this.#reloading = null);
  }

  /** Loads certificates, and uses new ones. Throws `Error` for an operator where none can be used. */
  async #load(): Promise<void> {
    const { certificates, problem } = await this.options.certificates.load();
    this.#report(problem);
    if (certificates === this.#certificates) return;
    this.#certificates = certificates;
    const { authority, certificate, key } = certificates;
    const context = { ca: authority, cert: certificate, key, minVersion: "TLSv1.2" } as const;
    this.#server.setSecureContext(context);
    // Clients that the previous authority verified must not stay connected.
    if (this.#verifier.trust(authority)) this.#connections.retire();
  }

  #report(problem: string | null): void {
    if (problem !== null && problem !== this.#problem) {
      this.options.log("warn", `the API keeps its current certificates: ${problem}`);
    }
    this.#problem = problem;
  }

  #handleEvents(): void {
    const answer = (request: IncomingMessage, response: ServerResponse) => {
      this.#answer(request, response);
    };
    this.#server
      .on("connection", (socket: Socket) => this.#connections.add(socket))
      .on("secureConnection", (socket: Tls.TLSSocket) => this.#identify(socket))
      .on("request", answer)
      // Without these two listeners, the runtime answers by itself, before the client is verified.
      .on("checkContinue", answer)
      .on("checkExpectation", answer)
      .on("clientError", (error, socket) => this.#refuse(error, socket));
  }

  #identify(socket: Tls.TLSSocket): void {
    const peer = this.#verifier.identify(socket);
    if (!peer || !this.#connections.identify(socket, peer)) socket.destroy();
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const connection = this.#connections.find(request.socket);
    if (!connection) return void request.socket.destroy();
    connection.queue(() => {
      response.once("close", () => connection.answerNext());
      new Exchange(request, response, connection, this.#handlerOptions).run();
    });
  }

  /** Handles a failed handshake, a request that is not HTTP, and headers that took too long. */
  #refuse(error: Error & { code?: string }, socket: Duplex): void {
    const connection = this.#connections.find(socket);
    if (!connection?.isAllowed) socket.destroy();
    else if (connection.isIdle) refuseMalformed(error, socket);
    // The client would read an error as a part of the answer to an earlier request.
    else if (error.code !== "ERR_HTTP_REQUEST_TIMEOUT") socket.destroy();
    else {
      // The next request may be incomplete because nothing is received while one waits.
      connection.retire();
      // The runtime reports the same again every second, and adds a listener each time.
      socket.setMaxListeners(0);
    }
  }
}

/** Creates a server that requires client certificates; its own certificate is set later. */
function createServer(limits: Limits): https.Server {
  return https.createServer({
    requestCert: true,
    rejectUnauthorized: true,
    handshakeTimeout: limits.handshakeTimeoutMs,
    headersTimeout: limits.headerTimeoutMs,
    // How often `headersTimeout` is checked.
    connectionsCheckingInterval: Math.min(1_000, limits.headerTimeoutMs / 4),
    keepAliveTimeout: limits.idleTimeoutMs,
    maxHeaderSize: limits.maximumHeaderBytes,
    // `readBytes` limits the time for the body.
    requestTimeout: 0,
    // Otherwise the runtime answers by itself, and not in JSON.
    requireHostHeader: false,
  });
}

/** How many connections the kernel queues for the listener. The runtime accepts all of them at once. */
const backlog = 128;

/**
 * Makes a listener accept again, by its handle, which is not public. The runtime stops for good when it
 * has no file descriptor for a connection (seen in 2.9.4, `libs/core/uv_compat/tcp.rs`).
 */
function wakeListener(server: Server): void {
  const { _handle } = server as unknown as { _handle: { listen(backlog: number): void } | null };
  _handle?.listen(backlog);
}

/** Listens; port 0 means any free port. Throws `Error` for an operator. */
async function listen(server: Server, host: string, port: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject).listen({ host, port, backlog }, resolve);
  try {
    await promise;
  } catch (cause) {
    const reason = explainListen(cause as Error, host);
    throw new Error(`Cannot listen on ${hostAndPort({ host, port })}: ${reason}`, { cause });
  } finally {
    server.off("error", reject);
  }
}

function explainListen({ code, message }: Error & { code?: string }, host: string): string {
  switch (code) {
    case "EADDRINUSE":
      return "the port is in use by another program; stop it, or set listen to another port";
    case "EADDRNOTAVAIL":
    case "EINVAL": // The runtime's code for the same.
    case "ENOTFOUND":
      if (host === "::1" || host.startsWith("127.")) {
        return "the loopback interface is down, or has no such address; ip link set lo up";
      }
      return "this host has no such address; set listen to one that it has";
    case "EACCES":
    case "EPERM":
      return "permission denied; a port below 1024 needs root or CAP_NET_BIND_SERVICE";
    default:
      return message;
  }
}
