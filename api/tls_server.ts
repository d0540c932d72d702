import type * as Https from "node:https";
import type { Bounds } from "./bounds.ts";

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
export function createTlsServer(createServer: CreateServer, bounds: Bounds): Https.Server {
  return createServer({
    requestCert: true,
    rejectUnauthorized: true,
    handshakeTimeout: bounds.handshakeTimeoutMs,
    headersTimeout: bounds.headerTimeoutMs,
    // How often the one above is looked at.
    connectionsCheckingInterval: Math.min(1_000, bounds.headerTimeoutMs / 4),
    keepAliveTimeout: bounds.idleTimeoutMs,
    maxHeaderSize: bounds.maximumHeaderBytes,
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
