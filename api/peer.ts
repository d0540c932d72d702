import type { TLSSocket } from "node:tls";

/** Past so many, all are forgotten; a client then makes a full handshake. */
const maximumRemembered = 1000;

/** Who is at the other end of a connection. */
export interface Peer {
  /** Whether its certificate bears an allowed name. */
  readonly isAllowed: boolean;
  /** When its certificate expires, in milliseconds since 1970. */
  readonly expiresAt: number;
}

/**
 * Tells who may call.
 *
 * The runtime keeps one ticket key for all servers of the process and does not verify the certificate
 * of a session that is resumed: whoever was let in under an older ca.crt would be let in for ever. It
 * offers no way to turn that off. So a resumed session counts for as much as its certificate did in a
 * full handshake under today's ca.crt.
 */
export class Peers {
  readonly #allowedNames: ReadonlySet<string>;
  /** PEM without line breaks. */
  #authority = "";
  /** Fingerprints of certificates that were verified in a full handshake. */
  readonly #verified = new Set<string>();

  constructor(allowedNames: readonly string[]) {
    this.#allowedNames = new Set(allowedNames);
  }

  /**
   * From now on `pem` is what verifies. Answers whether it is another one than before; what that one
   * verified is then forgotten.
   */
  trust(pem: string): boolean {
    const authority = pem.replace(/\s+/g, "");
    if (authority === this.#authority) return false;
    this.#authority = authority;
    this.#verified.clear();
    return true;
  }

  /** Who has just connected, or null when that is nobody to talk to. */
  identify(socket: TLSSocket): Peer | null {
    if (!socket.authorized) return null;
    const { subject, raw, fingerprint256, valid_to } = socket.getPeerCertificate();
    const expiresAt = Date.parse(valid_to);
    if (!(expiresAt > Date.now())) return null;
    if (socket.isSessionReused()) {
      if (!this.#verified.has(fingerprint256)) return null;
    } else {
      // An authority's own certificate is public, and the runtime takes one of version 1 from a
      // client without a proof that it has the key.
      if (this.#authority.includes(raw.toBase64())) return null;
      if (this.#verified.size >= maximumRemembered) this.#verified.clear();
      this.#verified.add(fingerprint256);
    }
    // Of several names, which are a list, one could be anybody's.
    const name: unknown = subject?.CN;
    return { isAllowed: typeof name === "string" && this.#allowedNames.has(name), expiresAt };
  }
}
