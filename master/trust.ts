import type { X509Certificate } from "node:crypto";
import type * as Tls from "node:tls";
import { splitChain } from "./certificates.ts";
import type { MasterAddress, TlsModules } from "./connection.ts";

const distrust: ReadonlySet<string | undefined> = new Set([
  "CERT_HAS_EXPIRED",
  "CERT_NOT_YET_VALID",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);

/** Whether the master's certificate was not trusted: the runtime has one code for all reasons. */
export function isTrustFailure(error: unknown): boolean {
  return distrust.has((error as { code?: string }).code);
}

/** Nothing came back from the master's address, or from a name server, in that time. */
export function noConnection(timeoutMs: number): Error {
  return new Error(
    `no connection within ${timeoutMs / 1000} s; see master-host, and what filters packets between`,
  );
}

/** The master took the connection and then was silent for that time. */
export function noReply(timeoutMs: number): Error {
  return new Error(`no answer within ${timeoutMs / 1000} s; see what holds up the master`);
}

/** What a failed connection to the master means, in words for an operator. */
export function explainFailure(error: unknown): string {
  const { name, code, message } = error as { name?: string; code?: string; message?: string };
  if (name === "TimeoutError") return "no answer in time";
  if (message?.includes("InvalidContentType")) {
    return "it does not speak TLS there; swarmctl-port tells the port";
  }
  if (code?.includes("PROTOCOL_VERSION")) return "it speaks neither TLS 1.2 nor anything newer";
  if (code?.includes("_ALERT_")) {
    return `it refuses worker.crt: ${message} (${code}); take one from it anew`;
  }
  if (isTrustFailure(error)) {
    return `its certificate is not signed by ca.crt, or not valid now, which is ${
      new Date().toISOString()
    } by this host's clock (${code})`;
  }
  switch (code) {
    case "ENOTFOUND":
    case "EAI_AGAIN":
    case "EAI_FAIL":
    case "EAI_NONAME":
      return "its name cannot be resolved; see master-host, and this host's name servers";
    case "ECONNREFUSED":
      return "nobody listens there; start it, or see swarmctl-port";
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return "there is no way to that address; see master-host, and this host's routes";
    case "ECONNRESET":
    case "EPIPE":
      return "it closed the connection before it answered; it may not accept worker.crt";
    default:
      return code === undefined ? message ?? String(error) : `${message} (${code})`;
  }
}

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

/** How much of a name that a stranger may have chosen is repeated, in characters. */
const keptNameLength = 64;

/** Looks at a master that `authority` (PEM) does not trust: why not, or null when that stays unknown. */
export async function diagnoseTrustFailure(
  modules: TlsModules,
  address: MasterAddress,
  { authority, ...limits }: LookOptions & { readonly authority: string },
): Promise<string | null> {
  try {
    const { X509Certificate } = await import("node:crypto");
    const [own, ...others] = await presentedCertificates(modules, address, limits);
    if (!own) return null;
    const authorities = splitChain(authority).map((block) => new X509Certificate(block));
    return trustFailureText([own, ...others], authorities, Date.now());
  } catch {
    // Whatever a stranger presents, the operator gets the reason that is known without it.
    return null;
  }
}

/**
 * Why a master that presents `chain`, its own certificate first, is not trusted by `authorities`, in
 * words for an operator. `now` is in milliseconds since 1970.
 */
export function trustFailureText(
  chain: readonly [X509Certificate, ...X509Certificate[]],
  authorities: readonly X509Certificate[],
  now: number,
): string {
  const { path, isSigned } = pathOf(chain, authorities);
  const isOwn = (it: X509Certificate) => it === chain[0];
  const foreign =
    `is not signed by ca.crt: it bears the name ${nameIn(chain[0].subject)}, and as ` +
    `its issuer ${
      nameIn(chain[0].issuer)
    }; ca.crt must hold the certificate of the master's authority`;
  const invalid = path.find((it) => from(it) > now || to(it) < now);
  if (!invalid) {
    return isSigned
      ? "its certificate is signed by ca.crt and valid now, but not fit for a server; " +
        "openssl x509 -text shows its key usage and its constraints"
      : `its certificate ${foreign}`;
  }
  const whose = isOwn(invalid)
    ? "its certificate"
    : `the certificate of its issuer ${nameIn(invalid.subject)}`;
  const isEarly = from(invalid) > now;
  return `${whose} ${isEarly ? "is not valid yet" : "has expired"}: it is valid from ` +
    `${timeOf(from(invalid))} to ${timeOf(to(invalid))}, and this host's clock says ` +
    `${timeOf(now)}; ${isEarly ? "" : "renew it, or "}set the clock that is wrong` +
    (isSigned ? "" : `; besides, it ${foreign}`);
}

/** Whether one of `authorities` has signed the first of `chain`, or another of it that leads to it. */
export function isSignedBy(
  chain: readonly [X509Certificate, ...X509Certificate[]],
  authorities: readonly X509Certificate[],
): boolean {
  return pathOf(chain, authorities).isSigned;
}

/** The certificates from the master's own one towards an authority, and whether they lead to one. */
function pathOf(
  [own, ...others]: readonly [X509Certificate, ...X509Certificate[]],
  authorities: readonly X509Certificate[],
): { path: X509Certificate[]; isSigned: boolean } {
  const path = [own];
  for (let last = own;;) {
    if (authorities.some((it) => hasSigned(it, last))) return { path, isSigned: true };
    const next = others.find((it) => !path.includes(it) && hasSigned(it, last));
    if (!next) return { path, isSigned: false };
    path.push(last = next);
  }
}

function hasSigned(issuer: X509Certificate, subject: X509Certificate): boolean {
  try {
    return subject.checkIssued(issuer) && subject.verify(issuer.publicKey);
  } catch {
    // A kind of key that the runtime does not know.
    return false;
  }
}

function from({ validFrom }: X509Certificate): number {
  return Date.parse(validFrom);
}

function to({ validTo }: X509Certificate): number {
  return Date.parse(validTo);
}

function nameIn(distinguishedName: string | undefined): string {
  const name = distinguishedName?.match(/^CN=(.*)$/m)?.[1] ?? distinguishedName ?? "";
  return JSON.stringify(name.slice(0, keptNameLength).toWellFormed());
}

function timeOf(ms: number): string {
  return Number.isNaN(ms) ? "an unknown time" : new Date(ms).toISOString().replace(/\.\d+/, "");
}
