import type { X509Certificate } from "node:crypto";
import net from "node:net";
import tls from "node:tls";
import { timeOf } from "../host/log.ts";
import { type StepLimits, waitFor } from "../host/process.ts";
import { type Identity, parseChain, unusableKey, weakHash } from "./certificates.ts";
import {
  attempt,
  type Chain,
  type ChainFault,
  chainOf,
  fieldsOf,
  findFault,
  isNamed,
  nameIn,
} from "./chain.ts";
import { ConnectionError, connectionError, connectTo, type MasterAddress } from "./connection.ts";
import { hasName, namesIn, quoteName } from "./x509.ts";

/** Why a master is not trusted; `unknown` when it does not present its certificates. */
export type TrustReason =
  | ChainFault["reason"]
  | "weak-key"
  | "weak-signature"
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

/** The name in the certificates of controllers; they have it whatever their host is called. */
const controllerName = "swarmctl";

/** Returns why a master is not `address`, or was not signed by `authority` (PEM); null if it was. */
export function masterFailure(
  chain: Chain | null,
  { host, name, fingerprint: pinned }: MasterAddress,
  authority: string,
): TrustError | null {
  if (!chain) return malformed(false);
  const failure = trustFailure(chain, parseChain(authority), Date.now());
  if (failure) return failure;
  const [own] = chain;
  const fields = fieldsOf(own)!;
  const names = name === null ? [...new Set([host, controllerName])] : [name];
  if (!names.some((it) => hasName(fields, it))) {
    const text = `its certificate does not have the name ${names.join(" or ")}, but ` +
      `${namesIn(fields)}; see master-name`;
    return new TrustError("wrong-name", text, true);
  }
  const fingerprint = own.fingerprint256.replaceAll(":", "").toLowerCase();
  if (pinned === null || pinned === fingerprint) return null;
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

/** Converts an error of the runtime; may connect again to find out why a master is untrusted. */
export async function diagnoseFailure(
  cause: unknown,
  { address, authority, timeoutMs, signal }: StepLimits & {
    readonly address: MasterAddress;
    readonly authority: string;
  },
): Promise<ConnectionError | TrustError> {
  if (cause instanceof TrustError) return cause;
  const { code } = cause as { code?: string };
  if (!trustCodes.has(code)) return connectionError(cause);
  try {
    const chain = await presentedChain(address, { timeoutMs, signal });
    const authorities = parseChain(authority);
    if (chain) {
      return trustFailure(chain, authorities, Date.now()) ?? weakness(chain, authorities) ??
        unfit();
    }
  } catch (error) {
    if (error instanceof TrustError) return error;
  }
  const text = "its certificate is not signed by ca.crt, or not valid now, which is " +
    `${new Date().toISOString()} by this host's clock (${code})`;
  return new TrustError("unknown", text, false, { cause });
}

/** How long an untrusted master may take to present its certificates, in milliseconds. */
const diagnosisTimeoutMs = 2_000;
/**
 * Returns the certificates that a master presents, by a handshake without a client certificate. Null on
 * failure, as when TLS 1.2 requires one. Throws `TrustError` when its key cannot be verified.
 */
export async function presentedChain(
  address: MasterAddress,
  { timeoutMs, signal }: StepLimits,
): Promise<Chain | null> {
  const dueAt = performance.now() + Math.min(diagnosisTimeoutMs, timeoutMs);
  const limits = () => ({ timeoutMs: dueAt - performance.now(), signal });
  try {
    const tcp = await connectTo(address, limits());
    // Only for this socket, on which nothing is written or read.
    const socket = await performHandshake(tcp, address, { rejectUnauthorized: false }, limits());
    const chain = chainOf(() => socket.getPeerCertificate(true));
    socket.destroy();
    return chain;
  } catch (cause) {
    // No authority is looked for here, so this can only be the signature of the handshake.
    if (!trustCodes.has((cause as { code?: string }).code)) return null;
    const text = "its key is too weak for TLS, as RSA under 2048 bits is, or is not that of its " +
      "certificate; issue its certificate again, with a key of EC P-256 for example";
    throw new TrustError("weak-key", text, false, { cause });
  }
}

/**
 * Starts TLS on a connection, and waits for the end of the handshake. Throws what the runtime does, or
 * `ConnectionError`, and closes the connection then.
 */
async function performHandshake(
  tcp: net.Socket,
  { host, name }: MasterAddress,
  options: tls.ConnectionOptions,
  { timeoutMs, signal }: StepLimits,
): Promise<tls.TLSSocket> {
  // SNI carries no addresses.
  const servername = [host, name ?? ""].find((it) => !net.isIP(it)) ?? "";
  const socket = tls.connect({ ...options, socket: tcp, servername, minVersion: "TLSv1.2" });
  const getPeerCertificate = socket.getPeerCertificate.bind(socket);
  // The runtime itself calls it in an event handler, where a certificate that cannot be read would end
  // the process (seen in 2.9.4). Here such a peer has none.
  socket.getPeerCertificate =
    ((isDetailed) =>
      attempt(() => getPeerCertificate(isDetailed)) ?? {}) as typeof getPeerCertificate;
  try {
    const closed = new ConnectionError("closed");
    const late = new ConnectionError("other", `no answer within ${timeoutMs / 1000} s`);
    await waitFor({ timeoutMs, signal }, late, ({ resolve, reject }) => {
      socket.once("secureConnect", resolve).on("error", reject).once("close", () => reject(closed));
    });
    return socket;
  } catch (cause) {
    socket.destroy();
    tcp.destroy();
    throw cause;
  }
}

/**
 * Returns why `authorities` do not trust `chain`, or null; `now` is in milliseconds since 1970. What
 * the chain itself does not show, such as constraints, is the runtime's to verify.
 */
export function trustFailure(
  chain: Chain,
  authorities: readonly X509Certificate[],
  now: number,
): TrustError | null {
  const fault = findFault(chain, { authorities, purpose: "server", now });
  if (!fault) return null;
  const weak = weakness(chain, authorities);
  if (weak) return weak;
  const { reason, certificate, isSigned } = fault;
  const [own] = chain;
  const [name, issuer] = [nameIn(own, "subject"), nameIn(own, "issuer")].map(quoteName);
  const foreign = `is not signed by ca.crt: it has the name ${name}, and as its issuer ` +
    `${issuer}; ca.crt must hold the certificate of the master's authority`;
  const subject = whose(certificate, own);
  const of = (text: string) => new TrustError(reason, `${subject} ${text}`, isSigned);
  const dates = `it ${validityOf(certificate)}, and this host's clock says ${timeOf(now)}`;
  const besides = isSigned ? "" : `; besides, it ${foreign}`;
  switch (reason) {
    case "malformed":
      return malformed(isSigned);
    case "old-version":
      return of("is not of X.509 version 3; issue it again with extensions");
    case "foreign-authority":
      return of(foreign);
    case "wrong-purpose":
      return unfit();
    case "expired":
      return of(`has expired: ${dates}; renew it, or correct the clock${besides}`);
    case "not-yet-valid":
      return of(`is not valid yet: ${dates}; correct the clock${besides}`);
  }
}

/** Returns what TLS does not accept in a chain that names an authority of ca.crt, or null. */
function weakness(chain: Chain, authorities: readonly X509Certificate[]): TrustError | null {
  const named = authorities.filter((it) => chain.some((subject) => isNamed(it, subject)));
  if (named.length === 0) return null;
  const [own, ...others] = chain;
  const issuers = [...others, ...named];
  const weak = (reason: TrustReason, it: X509Certificate, text: string) =>
    new TrustError(reason, `${whose(it, own)} ${text}`, false);
  for (const it of chain) {
    const hash = weakHash(it, issuers.find((issuer) => isNamed(issuer, it)));
    const text = `is signed with ${hash}, which is not accepted; issue it again, with SHA-512`;
    if (hash !== null) return weak("weak-signature", it, text);
  }
  for (const it of issuers) {
    const kind = unusableKey(it);
    const text =
      `has a key of ${kind}, which TLS does not accept; issue both again, with keys of ` +
      "EC P-256 for example";
    if (kind !== null) return weak("weak-key", it, text);
  }
  return null;
}

/** Returns the words for the master's own certificate, or for that of an issuer. */
function whose(certificate: X509Certificate, own: X509Certificate): string {
  if (certificate === own) return "its certificate";
  return `the certificate of its issuer ${quoteName(nameIn(certificate, "subject"))}`;
}

function malformed(isSigned: boolean): TrustError {
  const text = "a certificate that it presents is damaged, or not written as RFC 5280 says; " +
    "issue it again, with openssl for instance";
  return new TrustError("malformed", text, isSigned);
}

function unfit(): TrustError {
  const text = "its certificate is signed by ca.crt and valid now, but not fit for a server; " +
    "openssl x509 -text shows its key usage and its constraints";
  return new TrustError("wrong-purpose", text, true);
}

/** Returns how long a certificate is valid, for a message. */
export function validityOf({ validFrom, validTo }: X509Certificate): string {
  return `is valid from ${timeOf(Date.parse(validFrom))} to ${timeOf(Date.parse(validTo))}`;
}

/**
 * Starts mutual TLS on a TCP connection; sends nothing. Throws `TrustError` or `ConnectionError`, and
 * closes the connection then. A master of TLS 1.3 may refuse the client certificate later. TCP is
 * connected first, as the runtime leaks 20 KB for each TLS socket whose TCP connection fails
 * (bench/memory.ts): hundreds of MB when a master is down for a month.
 */
export async function startTls(
  tcp: net.Socket,
  address: MasterAddress,
  { authority, certificate, key }: Identity,
  { timeoutMs, signal }: StepLimits,
): Promise<tls.TLSSocket> {
  const options: tls.ConnectionOptions = {
    ca: authority,
    cert: certificate,
    key,
    rejectUnauthorized: true,
    checkServerIdentity: (_host, peer) =>
      masterFailure(chainOf(() => peer), address, authority) ?? undefined,
  };
  try {
    return await performHandshake(tcp, address, options, { timeoutMs, signal });
  } catch (cause) {
    // Ends before the time of a caller that has the same limit.
    throw await diagnoseFailure(cause, { address, authority, timeoutMs: timeoutMs / 2, signal });
  }
}

/**
 * Makes a handshake on a TCP connection, and closes it; returns what was presented, in words. TLS 1.3 has
 * `settleMs` to refuse the client certificate. Throws `TrustError` or `ConnectionError`.
 */
export async function testHandshake(
  tcp: net.Socket,
  address: MasterAddress,
  identity: Identity,
  { timeoutMs, settleMs, signal }: StepLimits & { readonly settleMs: number },
): Promise<string> {
  const socket = await startTls(tcp, address, identity, { timeoutMs, signal });
  const { raw, valid_to: validTo } = socket.getPeerCertificate();
  const protocol = socket.getProtocol() ?? "TLS";
  try {
    const closed = new ConnectionError("closed");
    await waitFor({ timeoutMs: settleMs, signal }, null, ({ reject }) => {
      socket.on("error", reject).once("close", () => reject(closed));
      // A refusal arrives only if the socket is read.
      socket.resume();
    });
    const names = namesIn(fieldsOf({ raw })!);
    return `${protocol} with ${names}, valid to ${timeOf(Date.parse(validTo))}`;
  } catch (cause) {
    const failure = connectionError(cause);
    if (failure.reason !== "closed") throw failure;
    throw new ConnectionError("closed-after-handshake", "", { cause });
  } finally {
    socket.destroy();
    tcp.destroy();
  }
}
