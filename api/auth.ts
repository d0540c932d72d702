import type { X509Certificate } from "node:crypto";
import type * as Tls from "node:tls";
import { isPowerOfTwo, type Log } from "../host/log.ts";
import { parseChain } from "../master/certificates.ts";
import { type ChainFault, chainOf, fieldsOf, findFault } from "../master/chain.ts";
import { commonNameOf } from "../master/x509.ts";

/** The client at the other end of a connection. */
export interface Peer {
  /** Whether its certificate has an allowed name. */
  readonly isAllowed: boolean;
  /** When its certificate expires, in milliseconds since 1970. */
  readonly expiresAt: number;
}

/** What the log says of a client's certificate. */
const faultTexts: Record<ChainFault["reason"], string> = {
  "malformed": "cannot be read",
  "old-version": "is not of X.509 version 3",
  "expired": "has expired",
  "not-yet-valid": "is not valid yet",
  "foreign-authority": "is not signed by ca.crt",
  "wrong-purpose": "is not for a client",
};

/**
 * Decides which clients may call. The runtime resumes TLS sessions without verifying the certificate, and
 * that cannot be turned off (2.9.4). So each is verified here: a resumed session was made with its key.
 */
export class ClientVerifier {
  #authority = "";
  #authorities: readonly X509Certificate[] = [];
  /** How many resumed sessions were refused under this ca.crt. */
  #refused = 0;

  constructor(readonly allowedNames: readonly string[], readonly log: Log) {}

  /** Sets the authority; returns whether it has changed, so that clients must be verified again. */
  trust(authority: string): boolean {
    if (authority === this.#authority) return false;
    this.#authorities = parseChain(authority);
    this.#authority = authority;
    this.#refused = 0;
    return true;
  }

  /** Returns the client that has just connected, or null if the connection must be closed. */
  identify(socket: Tls.TLSSocket): Peer | null {
    if (!socket.authorized) return null;
    const chain = chainOf(() => socket.getPeerCertificate(true));
    const check = { authorities: this.#authorities, purpose: "client", now: Date.now() } as const;
    const fault = chain && findFault(chain, check);
    if (!chain || fault) {
      if (socket.isSessionReused()) this.#reportRefused(fault?.reason ?? "malformed");
      return null;
    }
    const [own] = chain;
    // The authority's own certificate is no client's.
    if (this.#authorities.some((it) => it.fingerprint256 === own.fingerprint256)) return null;
    // With several names it is refused: the authority may have checked only one.
    const name = commonNameOf(fieldsOf(own)!.subject);
    const isAllowed = name !== null && this.allowedNames.includes(name);
    return { isAllowed, expiresAt: Date.parse(own.validTo) };
  }

  /** Logs the 1st, 2nd, 4th, 8th … time: a client may try for ever, and anyone can be one. */
  #reportRefused(reason: ChainFault["reason"]): void {
    const refused = ++this.#refused;
    if (!isPowerOfTwo(refused)) return;
    const text = `the API refused a resumed TLS session: its certificate ${faultTexts[reason]}`;
    this.log("warn", text, { subject: "api", refused });
  }
}
