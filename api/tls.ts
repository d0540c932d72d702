import type * as Https from "node:https";
import type { AddressInfo } from "node:net";
import type * as Tls from "node:tls";
import type { Log } from "../host/log.ts";
import type { Limits } from "./connections.ts";

/** Who the agent is, and the only authority that it trusts; all PEM. */
export interface Identity {
  readonly authority: string;
  readonly certificate: string;
  readonly key: string;
}

/**
 * How many connections the system keeps for the listener. The runtime accepts all of them before it
 * hands over the first, and it never accepts again once it has run out of file descriptors.
 */
const backlog = 64;

/** Makes a server of `node:https`. */
export type CreateServer = (options: Https.ServerOptions) => Https.Server;

/** A server that lets in nobody without a certificate. It has none itself, and does not listen yet. */
export function createTlsServer(createServer: CreateServer, limits: Limits): Https.Server {
  return createServer({
    requestCert: true,
    rejectUnauthorized: true,
    handshakeTimeout: limits.handshakeTimeoutMs,
    headersTimeout: limits.headerTimeoutMs,
    // How often the one above is looked at.
    connectionsCheckingInterval: Math.min(1_000, limits.headerTimeoutMs / 4),
    keepAliveTimeout: limits.idleTimeoutMs,
    maxHeaderSize: limits.maximumHeaderBytes,
    // The body has a bound of its own, after which the client is told.
    requestTimeout: 0,
    // Otherwise the server answers by itself, and not in JSON.
    requireHostHeader: false,
  });
}

/** What of a server's options is replaced while it runs. */
export function contextOf({ authority, certificate, key }: Identity): Https.ServerOptions {
  return { ca: authority, cert: certificate, key, minVersion: "TLSv1.2" };
}

/** Listens; port 0 takes a free one. Throws `Error`, whose message is fit for an operator. */
export function listen(server: Https.Server, host: string, port: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const fail = (error: Error & { code?: string }) => {
    const address = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
    reject(new Error(`Cannot listen on ${address}: ${explain(error)}`, { cause: error }));
  };
  server.once("error", fail);
  server.listen({ host, port, backlog }, () => {
    server.off("error", fail);
    resolve();
  });
  return promise;
}

function explain({ code, message }: Error & { code?: string }): string {
  switch (code) {
    case "EADDRINUSE":
      return "another program listens there; stop it, or let listen name another port";
    case "EADDRNOTAVAIL":
    case "EINVAL": // What the runtime makes of it.
    case "ENOTFOUND":
      return "this host has no such address; let listen name one that it has";
    case "EACCES":
    case "EPERM":
      return "permission denied; a port below 1024 needs root or CAP_NET_BIND_SERVICE";
    default:
      return message;
  }
}

const address = "127.0.0.1";
/** For a connection within this host, in milliseconds. */
const timeoutMs = 5_000;

/**
 * Calls `server`, which was made for this alone, without a certificate. Throws `Error` when it gets
 * an answer: versions of the runtime before 2.7.14 do not ask for one, and say nothing about it.
 * Throws, too, when its certificate and key are of no use to TLS, which the runtime does not tell
 * before somebody connects.
 */
export async function checkServer(
  server: Https.Server,
  identity: Identity,
  tls: typeof Tls,
): Promise<void> {
  server.setSecureContext(contextOf(identity));
  server.on("request", (_request, response) => response.end());
  // The refusal that is hoped for.
  server.on("tlsClientError", () => {});
  server.on("clientError", (_error, socket) => void socket.destroy());
  await listen(server, address, 0);
  try {
    await callWithoutCertificate(tls, (server.address() as AddressInfo).port);
  } finally {
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }
}

async function callWithoutCertificate(tls: typeof Tls, port: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = tls.connect({
    host: address,
    port,
    // It is this process that answers, whatever its name is.
    rejectUnauthorized: false,
    // A name that was never used: the runtime resumes sessions by name, and would not ask for a
    // certificate then.
    servername: `${crypto.randomUUID()}.invalid`,
  });
  let isGreeted = false;
  let reason = "the connection was closed";
  socket.once("secureConnect", () => {
    isGreeted = true;
    socket.write("GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  });
  socket.once("data", () => {
    reject(new Error("Cannot listen: this runtime lets clients in without a certificate"));
  });
  socket.once("error", (error: Error & { code?: string }) => reason = error.code ?? error.message);
  // In TLS 1.3 a client without a certificate is greeted first and refused then.
  socket.once("close", () => {
    if (isGreeted) return resolve();
    reject(new Error(`Cannot use worker.crt, worker.key and ca.crt for TLS: ${reason}`));
  });
  const timer = setTimeout(() => {
    reject(new Error(`Cannot listen: no answer of this process within ${timeoutMs / 1000} s`));
  }, timeoutMs);
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}

/** The certificates of the disk, and why newer ones were not taken. */
export interface LoadedIdentity {
  readonly certificates: Identity;
  readonly problem: string | null;
}

/** How certificates are looked for, tried and taken into use. */
interface CertificateReloaderOptions {
  readonly load: () => Promise<LoadedIdentity>;
  /** Throws `Error`, fit for an operator, when they are of no use. */
  readonly check: (identity: Identity) => Promise<void>;
  readonly use: (identity: Identity) => void;
  readonly log: Log;
}

/** Takes certificates into use as they come to lie on the disk; those of no use are told once. */
export class CertificateReloader {
  readonly #options: CertificateReloaderOptions;
  /** The last ones, which may have been of no use. */
  #seen: Identity | null = null;
  #problem: string | null = null;
  #timer: ReturnType<typeof setInterval> | undefined;
  #looking: Promise<void> | null = null;

  constructor(options: CertificateReloaderOptions) {
    this.#options = options;
  }

  /** Takes the first ones. Throws `Error`, fit for an operator, when there are none to use. */
  async begin(): Promise<void> {
    const { load, check, use } = this.#options;
    const { certificates, problem } = await load();
    await check(certificates);
    use(certificates);
    this.#seen = certificates;
    this.#report(problem);
  }

  /** Looks for new ones from now on, every so many milliseconds. */
  watch(intervalMs: number): void {
    this.#timer = setInterval(() => {
      this.#looking ??= this.#look().finally(() => this.#looking = null);
    }, intervalMs);
  }

  /** Looks no more; resolves when a look that is under way is over. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
  }

  async #look(): Promise<void> {
    const { load, check, use } = this.#options;
    try {
      const { certificates, problem } = await load();
      if (isSame(certificates, this.#seen)) {
        if (problem !== null) this.#report(problem);
        return;
      }
      this.#seen = certificates;
      await check(certificates);
      use(certificates);
      this.#report(problem);
    } catch (error) {
      this.#report((error as Error).message);
    }
  }

  #report(problem: string | null): void {
    if (problem !== null && problem !== this.#problem) {
      this.#options.log("warn", `the API goes on with the certificates that it has: ${problem}`);
    }
    this.#problem = problem;
  }
}

function isSame(a: Identity, b: Identity | null): boolean {
  return a.authority === b?.authority && a.certificate === b.certificate && a.key === b.key;
}
