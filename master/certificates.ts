import type * as Crypto from "node:crypto";

/** What both ends of a connection to the master are judged by. */
export interface Certificates {
  /** PEM; the only roots that are trusted. */
  readonly authority: string;
  /** PEM; who this host is. */
  readonly certificate: string;
  /** PEM, PKCS8. */
  readonly key: string;
  /** When the first of them expires, in milliseconds since 1970. */
  readonly expiresAt: number;
}

/** The certificates to use now, and what is wrong with newer ones on the disk. */
export interface LoadedCertificates {
  readonly certificates: Certificates;
  /** Why files that have changed were not taken; null when all is well. */
  readonly problem: string | null;
}

const fileNames = ["ca.crt", "worker.crt", "worker.key"] as const;

/** The folder that holds `ca.crt`, `worker.crt` and `worker.key`. */
export class CertificateFolder {
  readonly #path: string;
  #loaded: Certificates | null = null;
  #loadedState = "";

  constructor(path: string) {
    this.#path = path;
  }

  /**
   * The certificates, read anew when a file has changed. When the new ones are of no use, the old
   * ones stay. Throws `Error`, whose message names the file, when there are none to use.
   */
  async load(): Promise<LoadedCertificates> {
    // Loaded only when a beat is to be sent: a host without a master starts faster without it.
    const crypto = await import("node:crypto");
    try {
      const state = fileNames.map((name) => this.#read(name, fileState)).join();
      if (!this.#loaded || state !== this.#loadedState) {
        this.#loaded = this.#parse(crypto);
        this.#loadedState = state;
      }
      return { certificates: this.#loaded, problem: null };
    } catch (error) {
      if (!this.#loaded) throw error;
      return { certificates: this.#loaded, problem: (error as Error).message };
    }
  }

  #parse({ createPrivateKey, X509Certificate }: typeof Crypto): Certificates {
    const parseChain = (pem: string) => splitChain(pem).map((block) => new X509Certificate(block));
    const [authority, certificate, key] = fileNames.map((name) =>
      this.#read(name, Deno.readTextFileSync)
    ) as [string, string, string];
    const authorities = this.#check("ca.crt", () => parseChain(authority));
    const chain = this.#check("worker.crt", () => parseChain(certificate));
    const fits = this.#check("worker.key", () => chain[0]!.checkPrivateKey(createPrivateKey(key)));
    if (!fits) throw new Error(`Cannot use ${this.#path}: worker.key does not fit worker.crt`);
    const expiries = [...authorities, ...chain].map(({ validTo }) => Date.parse(validTo));
    return { authority, certificate, key, expiresAt: Math.min(...expiries) };
  }

  #read<T>(name: string, read: (path: string) => T): T {
    return this.#check(name, () => read(`${this.#path}/${name}`));
  }

  #check<T>(name: string, check: () => T): T {
    try {
      return check();
    } catch (cause) {
      throw new Error(`Cannot use ${this.#path}/${name}: ${explain(cause)}`, { cause });
    }
  }
}

function splitChain(pem: string): string[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g);
  if (!blocks) throw new Error("no PEM certificate in it");
  return blocks;
}

/** Differs when the file was written, replaced or given another mode. */
function fileState(path: string): string {
  const { mtime, ctime, ino, size } = Deno.statSync(path);
  return [mtime?.getTime(), ctime?.getTime(), ino, size].join();
}

function explain(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "no such file";
  if (error instanceof Deno.errors.PermissionDenied) return "permission denied";
  // The parsers' own words may quote what they met, and in a key that must not be repeated.
  if (error instanceof Error && error.message === "no PEM certificate in it") return error.message;
  return "not valid PEM";
}
