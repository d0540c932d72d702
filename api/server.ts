import type { IncomingMessage, ServerResponse } from "node:http";
import type * as Https from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import type * as Tls from "node:tls";
import type { Log } from "../host/log.ts";
import { ClientVerifier, Connections, defaultLimits, type Limits } from "./connections.ts";
import {
  type ApiService,
  handle,
  type HandlerOptions,
  refuseMalformed,
  SerialQueue,
} from "./routes.ts";
import {
  CertificateReloader,
  checkServer,
  contextOf,
  type CreateServer,
  createTlsServer,
  type Identity,
  listen,
  type LoadedIdentity,
} from "./tls.ts";

/** How often to look, in milliseconds. */
const lookIntervalMs = 1_000;

/**
 * Notices that the process has run out of file descriptors. A listener of the runtime that could not
 * accept a connection for that reason never accepts one again, and nobody is told.
 */
class DescriptorWatch {
  readonly #exhausted = Promise.withResolvers<void>();
  #timer: ReturnType<typeof setInterval> | undefined;

  /** Resolves when there was none left. */
  get exhausted(): Promise<void> {
    return this.#exhausted.promise;
  }

  /** Looks from now on, until it is stopped. */
  begin(): void {
    this.#timer = setInterval(() => {
      try {
        Deno.openSync("/dev/null").close();
      } catch (error) {
        const { code } = error as { code?: string };
        if (code === "EMFILE" || code === "ENFILE") this.#exhausted.resolve();
      }
    }, lookIntervalMs);
  }

  /** Looks no more. */
  stop(): void {
    clearInterval(this.#timer);
  }
}

/** Where the API listens, who may call it, and what it is made of. */
export interface ApiOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** One of them must be the one common name of a client's certificate. */
  readonly allowedNames: readonly string[];
  readonly certificates: () => Promise<LoadedIdentity>;
  readonly log: Log;
  /** How often to look for new certificates, in milliseconds. */
  readonly lookIntervalMs?: number;
  readonly limits?: Partial<Limits>;
  /** Makes the servers; by default that of `node:https`. */
  readonly createServer?: CreateServer;
}

/** Listens for the master. */
export class ApiServer {
  readonly #handlerOptions: HandlerOptions;
  readonly #connections: Connections;
  readonly #peers: ClientVerifier;
  readonly #renewal: CertificateReloader;
  readonly #server: Https.Server;
  readonly #descriptors = new DescriptorWatch();

  private constructor(
    service: ApiService,
    { log, allowedNames, certificates, limits: changedBounds, createServer }: ApiOptions,
    { https, tls }: { readonly https: typeof Https; readonly tls: typeof Tls },
  ) {
    const limits = { ...defaultLimits, ...changedBounds };
    const newServer = () => createTlsServer(createServer ?? https.createServer, limits);
    this.#handlerOptions = { service, turns: new SerialQueue(), limits, log };
    this.#connections = new Connections(limits.maximumConnections);
    this.#peers = new ClientVerifier(allowedNames);
    this.#server = newServer();
    this.#renewal = new CertificateReloader({
      load: certificates,
      check: (identity) => checkServer(newServer(), identity, tls),
      use: (identity) => this.#use(identity),
      log,
    });
  }

  /**
   * Starts to listen, after it has made sure that nobody gets in without a certificate. Throws
   * `Error`, whose message is fit for an operator.
   */
  static async start(service: ApiService, options: ApiOptions): Promise<ApiServer> {
    const { host, port, lookIntervalMs = 5_000 } = options;
    // Loaded only here: a host that does not listen starts faster without it.
    const [https, tls] = await Promise.all([import("node:https"), import("node:tls")]);
    const server = new ApiServer(service, options, { https, tls });
    await server.#renewal.begin();
    server.#receive();
    await listen(server.#server, host, port);
    server.#renewal.watch(lookIntervalMs);
    server.#descriptors.begin();
    return server;
  }

  /** The port it listens on. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Resolves when it may be deaf, and another one is to take its place: see `DescriptorWatch`. */
  get needsRestart(): Promise<void> {
    return this.#descriptors.exhausted;
  }

  /** Accepts nothing more, and closes every connection, those that are owed an answer a bit later. */
  async stop(): Promise<void> {
    const { stopTimeoutMs } = this.#handlerOptions.limits;
    this.#descriptors.stop();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#connections.retire();
    const timer = setTimeout(() => this.#connections.destroy(), stopTimeoutMs);
    await closed;
    clearTimeout(timer);
    await this.#renewal.stop();
  }

  #use(identity: Identity): void {
    this.#server.setSecureContext(contextOf(identity));
    // Whoever an older authority has let in must not stay.
    if (this.#peers.trust(identity.authority)) this.#connections.retire();
  }

  #receive(): void {
    const answer = (request: IncomingMessage, response: ServerResponse) => {
      this.#answer(request, response);
    };
    this.#server
      .on("connection", (socket: Socket) => this.#connections.add(socket))
      .on("secureConnection", (socket: Tls.TLSSocket) => this.#identify(socket))
      .on("request", answer)
      // Without these two, the server would answer before it is known who asks.
      .on("checkContinue", answer)
      .on("checkExpectation", answer)
      .on("clientError", (error, socket) => this.#refuse(error, socket));
  }

  #identify(socket: Tls.TLSSocket): void {
    const peer = this.#peers.identify(socket);
    if (!peer || !this.#connections.identify(socket, peer)) socket.destroy();
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const connection = this.#connections.find(request.socket);
    if (!connection) return void request.socket.destroy();
    connection.begin();
    response.once("close", () => connection.end());
    handle(request, response, connection, this.#handlerOptions);
  }

  /** What came is no HTTP request, or came too slowly, or the handshake failed. */
  #refuse(error: Error, socket: Duplex): void {
    const connection = this.#connections.find(socket);
    // In the middle of another answer this one would be taken for a part of it.
    if (connection?.isAllowed && connection.isIdle) refuseMalformed(error, socket);
    else socket.destroy();
  }
}
