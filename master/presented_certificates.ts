import type { X509Certificate } from "node:crypto";
import type * as Tls from "node:tls";
import type { MasterAddress } from "./address.ts";
import type { TlsModules } from "./https_agent.ts";

/** A master that is not trusted may take so long to show its certificates once more. */
const longestLookMs = 2_000;
/** No chain of certificates is longer than that. */
const longestChain = 8;

/** Bounds of the look. */
export interface LookOptions {
  /** What is left of the time of the beat, in milliseconds. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/**
 * The certificates that a refused master presents, its own first; empty when they cannot be had.
 * The runtime tells only that it trusts none of them, and this is to tell why. Whoever they belong
 * to gets a handshake and nothing more: no byte of a beat and no client certificate, and what is
 * read goes into an error message and nowhere else. A master with TLS 1.2 that demands a client
 * certificate ends such a handshake, and its certificates stay unknown.
 */
export async function presentedCertificates(
  { net, tls }: TlsModules,
  { host, port, name }: MasterAddress,
  { timeoutMs, signal }: LookOptions,
): Promise<X509Certificate[]> {
  const { X509Certificate } = await import("node:crypto");
  const { promise, resolve } = Promise.withResolvers<Tls.DetailedPeerCertificate | null>();
  const giveUp = () => resolve(null);
  const timer = setTimeout(giveUp, Math.min(longestLookMs, timeoutMs));
  signal.addEventListener("abort", giveUp, { once: true });
  if (signal.aborted) giveUp();
  // TCP alone at first, for the same reason as in createAgent().
  const tcp = net.connect({ host, port });
  let socket: Tls.TLSSocket | null = null;
  tcp.on("error", giveUp);
  tcp.once("connect", () => {
    socket = tls.connect({
      socket: tcp,
      servername: net.isIP(name) ? "" : name,
      minVersion: "TLSv1.2",
      // For this look alone: a socket of its own, on which nothing is written or read.
      rejectUnauthorized: false,
    });
    socket.once("secureConnect", () => resolve(socket!.getPeerCertificate(true)));
    socket.on("error", giveUp);
    socket.once("close", giveUp);
  });
  try {
    const chain: X509Certificate[] = [];
    let peer = await promise;
    while (peer?.raw && chain.length < longestChain) {
      chain.push(new X509Certificate(peer.raw));
      // The last one is its own issuer.
      peer = peer.issuerCertificate === peer ? null : peer.issuerCertificate;
    }
    return chain;
  } catch {
    return [];
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", giveUp);
    (socket as Tls.TLSSocket | null)?.destroy();
    tcp.destroy();
  }
}
