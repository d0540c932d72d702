import type * as Https from "node:https";
import type { Server } from "node:net";
import type * as Tls from "node:tls";
import type { Log } from "../host/log.ts";

/** A certificate with its key, and the only authority that is trusted; all PEM. */
export interface Identity {
  readonly authority: string;
  readonly certificate: string;
  readonly key: string;
}

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

/** Past this number all verified certificates are forgotten; each client then needs a full handshake. */
const maximumVerified = 1000;

/**
 * Decides which clients may call. The runtime resumes TLS sessions without verifying the certificate
 * again, and resumption cannot be turned off (seen in 2.9.4). So a resumed session is accepted only if
 * its certificate has passed a full handshake under the current ca.crt.
 */
export class ClientVerifier {
  readonly #allowedNames: ReadonlySet<string>;
  /** PEM without line breaks. */
  #authority = "";
  /** Fingerprints of certificates that were verified in a full handshake. */
  readonly #verified = new Set<string>();

  constructor(allowedNames: readonly string[]) {
    this.#allowedNames = new Set(allowedNames);
  }

  /** Sets the authority; returns whether it has changed, so that clients must be verified again. */
  trust(pem: string): boolean {
    const authority = pem.replace(/\s+/g, "");
    if (authority === this.#authority) return false;
    this.#authority = authority;
    this.#verified.clear();
    return true;
  }

  /** Returns the client that has just connected, or null if the connection must be closed. */
  identify(socket: Tls.TLSSocket): Peer | null {
    if (!socket.authorized) return null;
    const { subject, raw, fingerprint256, valid_to } = socket.getPeerCertificate();
    const expiresAt = Date.parse(valid_to);
    if (!(expiresAt > Date.now())) return null;
    if (socket.isSessionReused()) {
      if (!this.#verified.has(fingerprint256)) return null;
    } else {
      // The authority's own certificate is public. If it is of X.509 version 1, the runtime accepts
      // it from a client that does not prove to have its key.
      if (this.#authority.includes(raw.toBase64())) return null;
      if (this.#verified.size >= maximumVerified) this.#verified.clear();
      this.#verified.add(fingerprint256);
    }
    // With several names this is an array, and refused: the authority may have checked only one.
    const name: unknown = subject?.CN;
    return { isAllowed: typeof name === "string" && this.#allowedNames.has(name), expiresAt };
  }
}

/** Returns the TLS options of a server that uses these certificates. */
export function secureContextOf({ authority, certificate, key }: Identity): Https.ServerOptions {
  return { ca: authority, cert: certificate, key, minVersion: "TLSv1.2" };
}

/** How many connections the kernel queues for the listener. The runtime accepts all of them at once. */
const backlog = 128;

/**
 * Makes a listener accept again. The runtime stops for good, and without an error, when it has no file
 * descriptor for a connection (seen in 2.9.4, `libs/core/uv_compat/tcp.rs`); to listen once more on the
 * same handle, which is not public, wakes it.
 */
export function wakeListener(server: Server): void {
  const { _handle } = server as unknown as { _handle: { listen(backlog: number): void } | null };
  _handle?.listen(backlog);
}

/** Listens; port 0 means any free port. Throws `Error` for an operator. */
export async function listen(server: Server, host: string, port: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject).listen({ host, port, backlog }, resolve);
  try {
    await promise;
  } catch (cause) {
    const address = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
    const reason = explainListen(cause as Error, host);
    throw new Error(`Cannot listen on ${address}: ${reason}`, { cause });
  } finally {
    server.off("error", reject);
  }
}

function explainListen({ code, message }: Error & { code?: string }, host: string): string {
  switch (code) {
    case "EADDRINUSE":
      return "the port is in use by another program; stop it, or set listen to another port";
    case "EADDRNOTAVAIL":
    case "EINVAL": // The runtime's code for the same.
    case "ENOTFOUND":
      if (host === "::1" || host.startsWith("127.")) {
        return "the loopback interface is down, or has no such address; ip link set lo up";
      }
      return "this host has no such address; set listen to one that it has";
    case "EACCES":
    case "EPERM":
      return "permission denied; a port below 1024 needs root or CAP_NET_BIND_SERVICE";
    default:
      return message;
  }
}

/** How certificates are loaded and used. */
interface CertificateReloaderOptions {
  readonly load: () => Promise<LoadedIdentity>;
  readonly use: (identity: Identity) => void;
  readonly log: Log;
}

/** Loads certificates and uses new ones; logs each problem with new ones once. */
export class CertificateReloader {
  readonly #options: CertificateReloaderOptions;
  #loaded: Identity | null = null;
  #problem: string | null = null;
  #timer: ReturnType<typeof setInterval> | undefined;
  #reloading: Promise<void> | null = null;

  constructor(options: CertificateReloaderOptions) {
    this.#options = options;
  }

  /** Loads certificates and uses new ones. Throws `Error`, for an operator, if they are unusable. */
  async load(): Promise<void> {
    const { certificates, problem } = await this.#options.load();
    if (!isSame(certificates, this.#loaded)) {
      this.#loaded = certificates;
      this.#options.use(certificates);
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
    this.#options.log("warn", `the API keeps its current certificates: ${problem}`);
  }
}

function isSame(a: Identity, b: Identity | null): boolean {
  return a.authority === b?.authority && a.certificate === b.certificate && a.key === b.key;
}
