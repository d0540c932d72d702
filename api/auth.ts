import type { X509Certificate } from "node:crypto";
import type * as Tls from "node:tls";
import { isPowerOfTwo, type Log } from "../host/log.ts";
import { type Identity, splitChain } from "../master/certificates.ts";
import {
  type ChainFault,
  chainOf,
  type CryptoModule,
  fieldsOf,
  findFault,
} from "../master/chain.ts";
import { commonNameOf } from "../master/x509.ts";

/** The certificates to use, and why newer ones on the disk are not used. */
export interface LoadedIdentity {
  readonly certificates: Identity;
  readonly problem: string | null;
}

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
 * Decides which clients may call. The runtime resumes TLS sessions without verifying the certificate
 * again, and resumption cannot be turned off (seen in 2.9.4). So each certificate is verified here,
 * under the current ca.crt: a resumed session was made with its key, whenever that was.
 */
export class ClientVerifier {
  readonly #allowedNames: ReadonlySet<string>;
  readonly #crypto: CryptoModule;
  readonly #log: Log;
  #authority = "";
  #authorities: readonly X509Certificate[] = [];
  /** How many resumed sessions were refused under this ca.crt. */
  #refused = 0;

  constructor(allowedNames: readonly string[], crypto: CryptoModule, log: Log) {
    this.#allowedNames = new Set(allowedNames);
    this.#crypto = crypto;
    this.#log = log;
  }

  /** Sets the authority; returns whether it has changed, so that clients must be verified again. */
  trust(authority: string): boolean {
    if (authority === this.#authority) return false;
    const { X509Certificate } = this.#crypto;
    this.#authorities = splitChain(authority).map((block) => new X509Certificate(block));
    this.#authority = authority;
    this.#refused = 0;
    return true;
  }

  /** Returns the client that has just connected, or null if the connection must be closed. */
  identify(socket: Tls.TLSSocket): Peer | null {
    if (!socket.authorized) return null;
    const chain = chainOf(() => socket.getPeerCertificate(true), this.#crypto);
    const check = { authorities: this.#authorities, purpose: "client", now: Date.now() } as const;
    const fault = chain && findFault(chain, check, this.#crypto);
    if (!chain || fault) {
      if (socket.isSessionReused()) this.#reportRefused(fault?.reason ?? "malformed");
      return null;
    }
    const [own] = chain;
    // The authority's own certificate is no client's.
    if (this.#authorities.some((it) => it.fingerprint256 === own.fingerprint256)) return null;
    // With several names it is refused: the authority may have checked only one.
    const name = commonNameOf(fieldsOf(own)!.subject);
    const isAllowed = name !== null && this.#allowedNames.has(name);
    return { isAllowed, expiresAt: Date.parse(own.validTo) };
  }

  /** Logs the 1st, 2nd, 4th, 8th … time: a client may try for ever, and anyone can be one. */
  #reportRefused(reason: ChainFault["reason"]): void {
    const refused = ++this.#refused;
    if (!isPowerOfTwo(refused)) return;
    const text = `the API refused a resumed TLS session: its certificate ${faultTexts[reason]}`;
    this.#log("warn", text, { subject: "api", refused });
  }
}

/** Loads certificates and uses new ones; logs each problem with new ones once. */
export class CertificateReloader {
  #loaded: Identity | null = null;
  #problem: string | null = null;
  #timer: ReturnType<typeof setInterval> | undefined;
  #reloading: Promise<void> | null = null;

  constructor(
    readonly options: {
      readonly load: () => Promise<LoadedIdentity>;
      readonly use: (identity: Identity) => void;
      readonly log: Log;
    },
  ) {}

  /** Loads certificates and uses new ones. Throws `Error`, for an operator, if they are unusable. */
  async load(): Promise<void> {
    const { certificates, problem } = await this.options.load();
    if (!isSame(certificates, this.#loaded)) {
      this.#loaded = certificates;
      this.options.use(certificates);
    }
    if (problem === null) this.#problem = null;
    else this.#report(problem);
  }

  /** Reloads every `intervalMs` milliseconds. */
  watch(intervalMs: number): void {
    this.#timer = setInterval(() => this.#reloading ??= this.#reload(), intervalMs);
  }

  /** Stops reloading; resolves when a reload that has begun is over. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#reloading;
  }

  async #reload(): Promise<void> {
    try {
      await this.load();
    } catch (error) {
      this.#report((error as Error).message);
    } finally {
      this.#reloading = null;
    }
  }

  #report(problem: string): void {
    if (problem === this.#problem) return;
    this.#problem = problem;
    this.options.log("warn", `the API keeps its current certificates: ${problem}`);
  }
}

function isSame(a: Identity, b: Identity | null): boolean {
  return a.authority === b?.authority && a.certificate === b.certificate && a.key === b.key;
}
