import type * as Crypto from "node:crypto";

/** What both ends of a connection to the master are judged by. */
export interface Certificates {
  /** PEM; the only roots that are trusted. */
  readonly authority: string;
  /** PEM; who this host is. */
  readonly certificate: string;
  /** PEM, PKCS8. */
  readonly key: string;
  /**
   * How long they can be used, each by the first or last of them, in milliseconds since 1970. An
   * authority that has expired does not count beside one that has not, unless worker.crt needs it.
   */
  readonly validFrom: Bound;
  readonly validTo: Bound;
}

/** A time, and the file whose certificate sets it. */
interface Bound {
  readonly at: number;
  readonly file: string;
}

/** The certificates to use now, and what is wrong with newer ones on the disk. */
interface LoadedCertificates {
  readonly certificates: Certificates;
  /** Why files that have changed were not taken; null when all is well. */
  readonly problem: string | null;
}

const maximumFileBytes = 2 ** 20;
/** Before files that are of no use are read once more, in milliseconds. */
const pauseMs = 100;
const fileNames = ["ca.crt", "worker.crt", "worker.key"] as const;

/** The folder that holds `ca.crt`, `worker.crt` and `worker.key`. */
export class CertificateFolder {
  readonly #path: string;
  #loaded: Certificates | null = null;

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
      return { certificates: await this.#readTwice(crypto), problem: null };
    } catch (error) {
      if (!this.#loaded) throw error;
      return { certificates: this.#loaded, problem: (error as Error).message };
    }
  }

  /** Whoever replaces the files writes one after the other: what is of no use may be so for a moment. */
  async #readTwice(crypto: typeof Crypto): Promise<Certificates> {
    try {
      return this.#read(crypto);
    } catch {
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
      return this.#read(crypto);
    }
  }

  #read(crypto: typeof Crypto): Certificates {
    const [authority, certificate, key] = fileNames.map((name) =>
      this.#check(name, () => readFile(`${this.#path}/${name}`))
    ) as [string, string, string];
    const { authority: a, certificate: c, key: k } = this.#loaded ?? {};
    // Not by the times of the files, which two changes within a millisecond share.
    if (!this.#loaded || authority !== a || certificate !== c || key !== k) {
      this.#loaded = this.#parse({ authority, certificate, key }, crypto);
    }
    return this.#loaded;
  }

  #parse(
    { authority, certificate, key }: Pick<Certificates, "authority" | "certificate" | "key">,
    { createPrivateKey, X509Certificate }: typeof Crypto,
  ): Certificates {
    const parseChain = (pem: string) => splitChain(pem).map((block) => new X509Certificate(block));
    const authorities = this.#check("ca.crt", () => parseChain(authority));
    const chain = this.#check("worker.crt", () => parseChain(certificate));
    const fits = this.#check("worker.key", () => {
      if (key.includes("ENCRYPTED")) throw new EncryptedKey();
      return chain[0]!.checkPrivateKey(createPrivateKey(key));
    });
    if (!fits) {
      throw new Error(
        `Cannot use ${this.#path}: worker.key does not fit worker.crt; put there what was issued together`,
      );
    }
    const last = chain.at(-1)!;
    const roots = authorities.map((it) => {
      const hasIssued = () => last.checkIssued(it) && last.verify(it.publicKey);
      return { file: "ca.crt", hasIssued, ...validity(it) };
    });
    const others = chain.map((it) => ({ file: "worker.crt", ...validity(it) }));
    const counting = () => [...stillOfUse(roots, Date.now()), ...others];
    return {
      authority,
      certificate,
      key,
      get validFrom() {
        const { from: at, file } = counting().reduce((a, b) => b.from > a.from ? b : a);
        return { at, file };
      },
      get validTo() {
        const { to: at, file } = counting().reduce((a, b) => b.to < a.to ? b : a);
        return { at, file };
      },
    };
  }

  #check<T>(name: string, check: () => T): T {
    try {
      return check();
    } catch (cause) {
      throw new Error(`Cannot use ${this.#path}/${name}: ${explain(cause)}`, { cause });
    }
  }
}

class EncryptedKey extends Error {}

function validity({ validFrom, validTo }: Crypto.X509Certificate): { from: number; to: number } {
  return { from: Date.parse(validFrom), to: Date.parse(validTo) };
}

/**
 * An authority that was replaced may stay in the file: when it expires, nobody needs it any more, but
 * for a worker.crt that only it has issued.
 */
function stillOfUse<T extends { readonly to: number; readonly hasIssued: () => boolean }>(
  roots: readonly T[],
  now: number,
): readonly T[] {
  const lasting = roots.filter(({ to }) => to > now);
  if (lasting.length === 0 || lasting.length === roots.length) return roots;
  if (lasting.some((it) => it.hasIssued())) return lasting;
  return roots.filter((it) => it.to > now || it.hasIssued());
}

/** The PEM blocks of the certificates in a text. Throws `Error` when there is none. */
export function splitChain(pem: string): string[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g);
  if (!blocks) throw new Error("no certificate");
  return blocks;
}

class NotRegular extends Error {}
class OpenToAll extends Error {}

function readFile(path: string): string {
  const { size, isFile, mode } = Deno.statSync(path);
  // A pipe or a device could keep the agent reading for ever.
  if (!isFile || size > maximumFileBytes) throw new NotRegular();
  // Whoever has the key is this host for the master; a group may be that of the agent alone.
  if (path.endsWith(".key") && ((mode ?? 0) & 0o007) !== 0) {
    throw new OpenToAll(`every user of this host can use it; chmod o= ${path} mends that`);
  }
  return Deno.readTextFileSync(path);
}

function explain(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) {
    return "no such file; agent-dir tells where it must be";
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return "permission denied; let the agent's user read it";
  }
  if (error instanceof EncryptedKey) {
    return "it is encrypted; openssl pkey -in FILE -out NEW-FILE decrypts it";
  }
  if (error instanceof OpenToAll) return error.message;
  if (error instanceof NotRegular) return "not a regular file of at most 1 MiB";
  if (error instanceof Deno.errors.NotADirectory) return "a part of its path is not a folder";
  // The system's own words quote nothing: "Too many open files (os error 24): readfile …".
  const [, problem] = /^([^:]+) \(os error \d+\)/.exec((error as Error).message) ?? [];
  if (problem !== undefined) return problem.toLowerCase();
  // The parsers' own words may quote what they met, and in a key that must not be repeated.
  return "not valid PEM; openssl x509 or openssl pkey (-inform DER) can write it";
}
