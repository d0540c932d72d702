import type * as Https from "node:https";
import type { AddressInfo } from "node:net";
import type * as Tls from "node:tls";
import { contextOf, type Identity, listen } from "./tls_server.ts";

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
