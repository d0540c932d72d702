import type { X509Certificate } from "node:crypto";
import type * as Net from "node:net";
import type * as Tls from "node:tls";
import { type Certificates, hasSigned, splitChain } from "./certificates.ts";
import {
  ConnectionError,
  connectionError,
  connectTo,
  loadTls,
  type MasterAddress,
  type StepLimits,
  type TlsModules,
  waitFor,
} from "./connection.ts";

/** Why a master is not trusted; `unknown` when it does not present its certificates. */
export type TrustReason =
  | "expired"
  | "not-yet-valid"
  | "foreign-authority"
  | "wrong-purpose"
  | "wrong-name"
  | "wrong-fingerprint"
  | "unknown";

/** A master that is not trusted. The message is written for an operator. */
export class TrustError extends Error {
  override readonly name = "TrustError";

  /** `isSigned`: ca.crt has signed the master's certificate, directly or through a chain. */
  constructor(
    readonly reason: TrustReason,
    message: string,
    readonly isSigned: boolean,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Checks name and fingerprint of a master whose chain the runtime has verified. */
export function checkPeer(
  { name, fingerprint: pinned }: MasterAddress,
  peer: Tls.PeerCertificate,
  tls: Pick<typeof Tls, "checkServerIdentity">,
): TrustError | undefined {
  if (tls.checkServerIdentity(name, peer)) {
    const names = peer.subjectaltname || `CN:${peer.subject?.CN}`;
    const text = `its certificate does not have the name ${name}, but ${names}; see master-name`;
    return new TrustError("wrong-name", text, true);
  }
  const fingerprint = peer.fingerprint256.replaceAll(":", "").toLowerCase();
  if (pinned === null || pinned === fingerprint) return;
  const text = `its certificate is not the pinned one, but has the fingerprint ${fingerprint}; ` +
    "see master-fingerprint";
  return new TrustError("wrong-fingerprint", text, true);
}

/** The runtime's codes for an untrusted certificate; the code does not show the real reason. */
const trustCodes: ReadonlySet<string | undefined> = new Set([
  "CERT_HAS_EXPIRED",
  "CERT_NOT_YET_VALID",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);

/** What is needed to read the certificates of an untrusted master. */
interface Diagnosis extends StepLimits {
  readonly modules: TlsModules;
  readonly address: MasterAddress;
  /** PEM; the content of ca.crt. */
  readonly authority: string;
}

/** Converts an error of the runtime; may connect again to find out why a master is untrusted. */
export async function diagnoseFailure(
  cause: unknown,
  diagnosis: Diagnosis,
): Promise<ConnectionError | TrustError> {
  if (cause instanceof TrustError) return cause;
  const { code } = cause as { code?: string };
  if (!trustCodes.has(code)) return connectionError(cause);
  const known = await diagnoseTrustFailure(diagnosis).catch(() => null);
  if (known) return known;
  const text = "its certificate is not signed by ca.crt, or not valid now, which is " +
    `${new Date().toISOString()} by this host's clock (${code})`;
  return new TrustError("unknown", text, false, { cause });
}

/** Reads the certificates of an untrusted master and returns the reason; null if it has none. */
async function diagnoseTrustFailure(
  { modules, address, authority, timeoutMs, signal }: Diagnosis,
): Promise<TrustError | null> {
  const { X509Certificate } = await import("node:crypto");
  const chain = await presentedCertificates(modules, address, { timeoutMs, signal });
  if (!isChain(chain)) return null;
  const authorities = splitChain(authority).map((block) => new X509Certificate(block));
  return trustFailure(chain, authorities, Date.now());
}

/** How long an untrusted master may take to present its certificates, in milliseconds. */
const diagnosisTimeoutMs = 2_000;
/** How many certificates of a chain are read. */
const longestChain = 8;

/**
 * Returns the certificates that a master presents, its own first; an empty list on failure. Makes a
 * handshake only: sends no heartbeat and no client certificate. A master with TLS 1.2 that requires
 * a client certificate ends the handshake, so its certificates stay unknown.
 */
export async function presentedCertificates(
  { net, tls }: TlsModules,
  address: MasterAddress,
  { timeoutMs, signal }: StepLimits,
): Promise<X509Certificate[]> {
  const { X509Certificate } = await import("node:crypto");
  const dueAt = performance.now() + Math.min(diagnosisTimeoutMs, timeoutMs);
  const limits = () => ({ timeoutMs: dueAt - performance.now(), signal });
  const late = new ConnectionError("timeout");
  let socket: Tls.TLSSocket | null = null;
  try {
    // Connects TCP first, see createAgent().
    const opened = socket = tls.connect({
      socket: await connectTo(address, limits()),
      ...tlsOptions(net, address),
      // Only for this socket, on which nothing is written or read.
      rejectUnauthorized: false,
    });
    await waitFor(limits(), late, ({ resolve, reject }) => {
      opened.once("secureConnect", resolve).on("error", reject).once("close", () => reject(late));
    });
    const chain: X509Certificate[] = [];
    let peer: Tls.DetailedPeerCertificate | null = opened.getPeerCertificate(true);
    while (peer?.raw && chain.length < longestChain) {
      chain.push(new X509Certificate(peer.raw));
      // The last one is its own issuer.
      peer = peer.issuerCertificate === peer ? null : peer.issuerCertificate;
    }
    return chain;
  } catch {
    return [];
  } finally {
    socket?.destroy();
  }
}

/** Returns the options that every TLS connection to the master has. */
export function tlsOptions(net: Pick<typeof Net, "isIP">, { name }: MasterAddress) {
  // SNI takes no addresses.
  return { servername: net.isIP(name) ? "" : name, minVersion: "TLSv1.2" } as const;
}

type Chain = readonly [X509Certificate, ...X509Certificate[]];

function isChain(certificates: readonly X509Certificate[]): certificates is Chain {
  return certificates.length > 0;
}

/** Returns why `authorities` do not trust `chain`; `now` is in milliseconds since 1970. */
export function trustFailure(
  chain: Chain,
  authorities: readonly X509Certificate[],
  now: number,
): TrustError {
  const [own] = chain;
  const { path, isSigned } = pathOf(chain, authorities);
  const foreign = `is not signed by ca.crt: it has the name ${nameIn(own.subject)}, and as ` +
    `its issuer ${nameIn(own.issuer)}; ca.crt must hold the certificate of the master's authority`;
  const invalid = path.find((it) => from(it) > now || to(it) < now);
  if (!invalid && isSigned) {
    const text = "its certificate is signed by ca.crt and valid now, but not fit for a server; " +
      "openssl x509 -text shows its key usage and its constraints";
    return new TrustError("wrong-purpose", text, true);
  }
  if (!invalid) return new TrustError("foreign-authority", `its certificate ${foreign}`, false);
  const whose = invalid === own
    ? "its certificate"
    : `the certificate of its issuer ${nameIn(invalid.subject)}`;
  const isEarly = from(invalid) > now;
  const text = `${whose} ${isEarly ? "is not valid yet" : "has expired"}: it is valid from ` +
    `${timeOf(from(invalid))} to ${timeOf(to(invalid))}, and this host's clock says ` +
    `${timeOf(now)}; ${isEarly ? "" : "renew it, or "}correct the clock` +
    (isSigned ? "" : `; besides, it ${foreign}`);
  return new TrustError(isEarly ? "not-yet-valid" : "expired", text, isSigned);
}

/** Returns true when one of `authorities` has signed the first of `chain`, directly or through it. */
export function isSignedBy(chain: Chain, authorities: readonly X509Certificate[]): boolean {
  return pathOf(chain, authorities).isSigned;
}

/** Follows the issuers from the first certificate; `isSigned`: the path ends at an authority. */
function pathOf(
  [own, ...others]: Chain,
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

function from({ validFrom }: X509Certificate): number {
  return Date.parse(validFrom);
}

function to({ validTo }: X509Certificate): number {
  return Date.parse(validTo);
}

/** How many characters of a peer's name a message repeats. */
const keptNameLength = 64;

function nameIn(distinguishedName: string | undefined): string {
  const name = distinguishedName?.match(/^CN=(.*)$/m)?.[1] ?? distinguishedName ?? "";
  return JSON.stringify(name.slice(0, keptNameLength).toWellFormed());
}

/** Formats a time, given in milliseconds since 1970, to the second. */
export function timeOf(ms: number): string {
  return Number.isNaN(ms) ? "an unknown time" : new Date(ms).toISOString().replace(/\.\d+/, "");
}

/** The result of a handshake. */
export interface Handshake {
  /** The version of TLS. */
  readonly protocol: string;
  /** The names in the master's certificate. */
  readonly names: string;
  /** When that certificate expires, as written in it. */
  readonly validTo: string;
}

/** Limits of a handshake. */
interface HandshakeLimits extends StepLimits {
  /** How long a master of TLS 1.3 has to refuse the client certificate after the handshake. */
  readonly settleMs: number;
}

/**
 * Makes a handshake with mutual TLS on a TCP connection and closes it; sends no request. Throws
 * `TrustError` or `ConnectionError`.
 */
export async function testHandshake(
  tcp: Net.Socket,
  address: MasterAddress,
  { authority, certificate, key }: Pick<Certificates, "authority" | "certificate" | "key">,
  { timeoutMs, settleMs, signal }: HandshakeLimits,
): Promise<Handshake> {
  const modules = await loadTls();
  const { net, tls } = modules;
  let socket: Tls.TLSSocket | null = null;
  let hasGreeted = false;
  try {
    const opened = socket = tls.connect({
      socket: tcp,
      ...tlsOptions(net, address),
      ca: authority,
      cert: certificate,
      key,
      rejectUnauthorized: true,
      checkServerIdentity: (_host, peer) => checkPeer(address, peer, tls),
    });
    const closed = new ConnectionError("closed");
    const late = new ConnectionError("other", `no answer within ${timeoutMs / 1000} s`);
    await waitFor({ timeoutMs, signal }, late, ({ resolve, reject }) => {
      opened.once("secureConnect", resolve).on("error", reject).once("close", () => reject(closed));
    });
    hasGreeted = true;
    const peer = opened.getPeerCertificate();
    const handshake = {
      protocol: opened.getProtocol() ?? "TLS",
      names: peer.subjectaltname ?? `CN:${peer.subject?.CN}`,
      validTo: peer.valid_to,
    };
    await waitFor({ timeoutMs: settleMs, signal }, null, ({ reject }) => {
      opened.on("error", reject).once("close", () => reject(closed));
      // A refusal arrives only if the socket is read.
      opened.resume();
    });
    return handshake;
  } catch (cause) {
    const failure = await diagnoseFailure(cause, {
      modules,
      address,
      authority,
      timeoutMs,
      signal,
    });
    if (!hasGreeted || failure.reason !== "closed") throw failure;
    throw new ConnectionError("closed-after-handshake", "", { cause });
  } finally {
    socket?.destroy();
    tcp.destroy();
  }
}
