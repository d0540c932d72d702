import type * as Crypto from "node:crypto";

/** The certificate and key of this host, and the authority that the master must come from. */
export interface Certificates {
  /** PEM; the only roots that are trusted. */
  readonly authority: string;
  /** PEM; the certificate of this host. */
  readonly certificate: string;
  /** PEM, PKCS8. */
  readonly key: string;
  /**
   * When all of them are valid: from the latest start to the earliest end. An expired authority is
   * ignored if there is a valid one, unless it has issued worker.crt.
   */
  readonly validFrom: Bound;
  readonly validTo: Bound;
}

/** A time in milliseconds since 1970, and the file whose certificate sets it. */
interface Bound {
  readonly at: number;
  readonly file: string;
}

/** The certificates to use now, and what is wrong with newer ones on the disk. */
interface LoadedCertificates {
  readonly certificates: Certificates;
  /** Why changed files are not used yet; null when the newest are in use. */
  readonly problem: string | null;
}

const reasonTexts = {
  "absent": "no such file; see agent-dir",
  "forbidden": "permission denied; let the agent's user read it",
  "not-a-folder": "a part of its path is not a folder",
  "not-regular": "not a regular file of at most 1 MiB",
  "open-to-all": "every user of this host can read it; remove that right (chmod o=)",
  "encrypted": "it is encrypted; openssl pkey -in FILE -out NEW-FILE decrypts it",
  "not-pem": "not valid PEM; openssl x509 or openssl pkey (-inform DER) can write it",
  "mismatch": "worker.key does not fit worker.crt; put there what was issued together",
  /** Replaced by the system's message. */
  "system": "",
};

/** Why a file, or all three together, cannot be used. */
export type CertificateReason = keyof typeof reasonTexts;

/** Certificates that cannot be used. The message is written for an operator and quotes no content. */
export class CertificateError extends Error {
  override readonly name = "CertificateError";

  /** `path` names the file, or the folder when the files do not fit each other. */
  constructor(
    readonly path: string,
    readonly reason: CertificateReason,
    detail = reasonTexts[reason],
    options?: ErrorOptions,
  ) {
    super(`Cannot use ${path}: ${detail}`, options);
  }
}

const maximumFileBytes = 2 ** 20;
/** The pause before unusable files are read again, in milliseconds. */
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
   * Reads the files and returns the certificates. If changed files cannot be used, returns the
   * previous certificates. Throws `CertificateError` when there are none.
   */
  async load(): Promise<LoadedCertificates> {
    // Loaded only when a heartbeat is to be sent: a host without a master starts faster without it.
    const crypto = await import("node:crypto");
    try {
      return { certificates: await this.#readTwice(crypto), problem: null };
    } catch (error) {
      if (!this.#loaded) throw error;
      return { certificates: this.#loaded, problem: (error as Error).message };
    }
  }

  /** Retries after a pause: while files are replaced one by one, they may not fit. */
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
    // Compares contents: two changes within a millisecond have the same file time.
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
      if (key.includes("ENCRYPTED")) {
        throw new CertificateError(`${this.#path}/worker.key`, "encrypted");
      }
      return chain[0]!.checkPrivateKey(createPrivateKey(key));
    });
    if (!fits) throw new CertificateError(this.#path, "mismatch");
    const last = chain.at(-1)!;
    const roots = authorities.map((it) => {
      const hasIssued = () => last.checkIssued(it) && last.verify(it.publicKey);
      return { file: "ca.crt", hasIssued, ...validity(it) };
    });
    const others = chain.map((it) => ({ file: "worker.crt", ...validity(it) }));
    const counting = () => [...selectUsable(roots, Date.now()), ...others];
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
      throw certificateError(`${this.#path}/${name}`, cause);
    }
  }
}

function validity({ validFrom, validTo }: Crypto.X509Certificate): { from: number; to: number } {
  return { from: Date.parse(validFrom), to: Date.parse(validTo) };
}

/**
 * Removes expired authorities, which may stay in the file after they were replaced. Keeps an expired
 * one when no valid authority has issued worker.crt.
 */
function selectUsable<T extends { readonly to: number; readonly hasIssued: () => boolean }>(
  roots: readonly T[],
  now: number,
): readonly T[] {
  const lasting = roots.filter(({ to }) => to > now);
  if (lasting.length === 0 || lasting.length === roots.length) return roots;
  if (lasting.some((it) => it.hasIssued())) return lasting;
  return roots.filter((it) => it.to > now || it.hasIssued());
}

/** Returns the PEM blocks of the certificates in a text. Throws `Error` when there is none. */
export function splitChain(pem: string): string[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g);
  if (!blocks) throw new Error("no certificate");
  return blocks;
}

function readFile(path: string): string {
  const { size, isFile, mode } = Deno.statSync(path);
  // To read a pipe or a device might never end.
  if (!isFile || size > maximumFileBytes) throw new CertificateError(path, "not-regular");
  // Anyone with the key can act as this host; the group may be the agent's own.
  if (path.endsWith(".key") && ((mode ?? 0) & 0o007) !== 0) {
    throw new CertificateError(path, "open-to-all");
  }
  return Deno.readTextFileSync(path);
}

/** Returns the reason for an error of the system or of a parser. */
function certificateError(path: string, cause: unknown): CertificateError {
  if (cause instanceof CertificateError) return cause;
  const { errors } = Deno;
  const of = (reason: CertificateReason, detail?: string) =>
    new CertificateError(path, reason, detail, { cause });
  if (cause instanceof errors.NotFound) return of("absent");
  if (cause instanceof errors.PermissionDenied) return of("forbidden");
  if (cause instanceof errors.NotADirectory) return of("not-a-folder");
  // Messages of the system quote no content: "Too many open files (os error 24): readfile …".
  const [, problem] = /^([^:]+) \(os error \d+\)/.exec((cause as Error).message) ?? [];
  // Messages of the parsers may quote the file, which may be a key.
  return problem === undefined ? of("not-pem") : of("system", problem.toLowerCase());
}
