import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { Duplex } from "node:stream";
import tls from "node:tls";
import { attempt, fieldsOf, hasSigned, isNamed } from "./chain.ts";

/** A certificate with its key, and the only authorities that are trusted; all PEM. */
export interface Identity {
  /** The content of ca.crt. */
  readonly authority: string;
  readonly certificate: string;
  /** PKCS #8, PKCS #1 or SEC 1. */
  readonly key: string;
}

/** The certificate and key of this host, and the authority that the master must come from. */
export interface Certificates extends Identity {
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

/** The text of each reason; `detail` is the kind of a key, a hash, or a message of the system. */
const reasonTexts = {
  "absent": () => "no such file; see agent-dir",
  "forbidden": () => "permission denied; let the agent's user read it",
  "not-a-folder": () => "a part of its path is not a folder",
  "not-regular": () => "not a regular file of at most 1 MiB",
  "open-to-all": () => "every user of this host can read it; remove that right (chmod o=)",
  "encrypted": () => "it is encrypted; openssl pkey -in FILE -out NEW-FILE decrypts it",
  "not-pem": () => "not valid PEM; openssl x509 or openssl pkey (-inform DER) can write it",
  "mismatch": () => "worker.key does not fit worker.crt; put there what was issued together",
  "unusable-key": (kind: string, path: string) => {
    if (kind === "") {
      return "TLS does not accept this key; it must be EC P-256, P-384 or P-521, Ed25519, or RSA " +
        "of 2048 bits or more";
    }
    const files = path.endsWith("ca.crt") ? "all certificates" : "worker.crt and worker.key";
    return `TLS does not accept a key of ${kind}; request ${files} again, with keys of EC P-256 ` +
      "for example";
  },
  "old-version": () =>
    "a certificate in it is not of X.509 version 3; issue it again with extensions, " +
    "such as basicConstraints=CA:TRUE",
  "weak-signature": (hash: string) =>
    `it is signed with ${hash}, which TLS does not accept; request a new one from the master`,
  "system": (detail: string) => detail,
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
    detail = "",
    options?: ErrorOptions,
  ) {
    super(`Cannot use ${path}: ${reasonTexts[reason](detail, path)}`, options);
  }
}

const maximumFileBytes = 2 ** 20;
/** The pause before unusable files are read again, in milliseconds. */
const pauseMs = 100;
const fileNames = ["ca.crt", "worker.crt", "worker.key"] as const;
/** The contents of these files. */
type Texts = readonly [authority: string, certificate: string, key: string];

/** The folder that holds `ca.crt`, `worker.crt` and `worker.key`. */
export class CertificateFolder {
  #loading: Promise<LoadedCertificates> | null = null;
  /** The last contents, and what they gave. */
  #last: { readonly texts: Texts; readonly result: Certificates | CertificateError } | null = null;
  #usable: Certificates | null = null;

  constructor(readonly path: string) {}

  /** Reads the files; returns the previous ones if unusable. Throws `CertificateError` without any. */
  load(): Promise<LoadedCertificates> {
    return this.#loading ??= this.#load().finally(() => this.#loading = null);
  }

  async #load(): Promise<LoadedCertificates> {
    try {
      const certificates = await this.#read().catch(async () => {
        // While files are replaced one by one, they may not fit.
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
        return await this.#read();
      });
      return { certificates, problem: null };
    } catch (error) {
      if (!this.#usable) throw error;
      return { certificates: this.#usable, problem: (error as Error).message };
    }
  }

  async #read(): Promise<Certificates> {
    const texts = fileNames.map((name) =>
      this.#check(name, () => readFile(`${this.path}/${name}`))
    ) as [string, string, string];
    // Compares contents: two changes within a millisecond have the same file time.
    if (!this.#last || texts.some((text, index) => text !== this.#last!.texts[index])) {
      const result = await this.#parse(texts).catch((error: CertificateError) => error);
      this.#last = { texts, result };
    }
    const { result } = this.#last;
    if (result instanceof Error) throw result;
    return this.#usable = result;
  }

  async #parse([authorityText, certificateText, keyText]: Texts): Promise<Certificates> {
    const authorities = this.#check("ca.crt", () => parseChain(authorityText));
    // A peer could use its own one of version 1 without the key, see findFault().
    if (authorities.some((it) => fieldsOf(it)?.version !== 3)) {
      throw new CertificateError(`${this.path}/ca.crt`, "old-version");
    }
    const chain = this.#check("worker.crt", () => parseChain(certificateText));
    if (/-----BEGIN ENCRYPTED|^Proc-Type:.*ENCRYPTED/m.test(keyText)) {
      throw new CertificateError(`${this.path}/worker.key`, "encrypted");
    }
    const [key] = this.#check("worker.key", () => blocksOf(keyText, keyPattern));
    this.#checkKeys(
      authorities,
      chain,
      attempt(() => createPrivateKey(key)),
    );
    const files = { authority: authorities.join(""), certificate: chain.join(""), key };
    await tryInTls(files).catch((cause) => {
      throw new CertificateError(`${this.path}/worker.key`, "unusable-key", undefined, { cause });
    });
    const boundsOf = (which: "validFrom" | "validTo") => [
      ...usableAuthorities(authorities, chain.at(-1)!)
        .map((it) => ({ at: Date.parse(it[which]), file: "ca.crt" })),
      ...chain.map((it) => ({ at: Date.parse(it[which]), file: "worker.crt" })),
    ];
    return {
      ...files,
      get validFrom() {
        return boundsOf("validFrom").reduce((a, b) => b.at > a.at ? b : a);
      },
      get validTo() {
        return boundsOf("validTo").reduce((a, b) => b.at < a.at ? b : a);
      },
    };
  }

  /** Throws `CertificateError` for keys and signatures that TLS does not accept. */
  #checkKeys(
    authorities: readonly X509Certificate[],
    chain: readonly X509Certificate[],
    key: KeyObject | null,
  ): void {
    const own = chain[0]!;
    const fail = (name: string, reason: CertificateReason, detail?: string) => {
      throw new CertificateError(`${this.path}/${name}`, reason, detail);
    };
    const kind = unusableKey(own, key ?? undefined);
    if (kind !== null) fail("worker.key", "unusable-key", kind);
    if (key === null) return fail("worker.key", "unusable-key");
    if (!own.checkPrivateKey(key)) throw new CertificateError(this.path, "mismatch");
    const hash = chain.map((it) => weakHash(it)).find((it) => it !== null);
    if (hash !== undefined) fail("worker.crt", "weak-signature", hash);
    const kinds = authorities.map((it) => unusableKey(it));
    if (!kinds.includes(null)) fail("ca.crt", "unusable-key", kinds[0]!);
  }

  #check<T>(name: string, check: () => T): T {
    try {
      return check();
    } catch (cause) {
      throw certificateError(`${this.path}/${name}`, cause);
    }
  }
}

/** The curves of keys that TLS accepts. */
const usableCurves: ReadonlySet<string | undefined> = new Set(["P-256", "P-384", "P-521"]);
const minimumRsaBits = 2048;

/**
 * Returns the kind of a certificate's key when TLS does not accept it, else null. The list holds what
 * the runtime has accepted (seen in 2.9.4); `tryInTls()` shows any other difference.
 */
export function unusableKey(
  certificate: X509Certificate,
  key: KeyObject | null = attempt(() => certificate.publicKey),
): string | null {
  // Unlike `publicKey`, never throws.
  const { modulus, asn1Curve, nistCurve } = certificate.toLegacyObject();
  if (modulus !== undefined) {
    const bits = BigInt(`0x${modulus}`).toString(2).length;
    return bits < minimumRsaBits || key === null ? `RSA with ${bits} bits` : null;
  }
  if (asn1Curve !== undefined) {
    const curve = nistCurve ?? key?.asymmetricKeyDetails?.namedCurve ?? "with this curve";
    return usableCurves.has(nistCurve) ? null : `EC ${curve}`;
  }
  const type = key?.asymmetricKeyType;
  return type === "ed25519" ? null : type?.toUpperCase() ?? "this kind";
}

/** The hashes of signatures that TLS does not accept, by the algorithm's object identifier. */
const weakHashes: ReadonlyMap<string | undefined, string> = new Map([
  ["1.2.840.113549.1.1.4", "MD5"],
  ["1.2.840.113549.1.1.5", "SHA-1"],
  ["1.3.14.3.2.29", "SHA-1"],
  ["1.2.840.10040.4.3", "SHA-1"],
  ["1.2.840.10045.4.1", "SHA-1"],
]);

const ecdsaWithSha256 = "1.2.840.10045.4.3.2";

/** Returns the hash of a certificate's signature when it is not accepted, else null. */
export function weakHash(
  certificate: X509Certificate & { readonly signatureAlgorithmOid?: string },
  issuer?: X509Certificate,
): string | null {
  // What an authority says of itself is not verified.
  if (isNamed(certificate, certificate)) return null;
  const { signatureAlgorithmOid: id } = certificate;
  // With this curve, the runtime verifies no hash that is so short (seen in 2.9.4).
  const isShort = id === ecdsaWithSha256 && issuer?.toLegacyObject().nistCurve === "P-521";
  return isShort ? "SHA-256 by EC P-521" : weakHashes.get(id) ?? null;
}

/**
 * Begins a handshake in memory: only this shows whether the runtime accepts a key. Throws its error,
 * which is no reason for an operator. Leaks 30 KB (seen in 2.9.4).
 */
async function tryInTls({ authority, certificate, key }: Identity): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const wire = new Duplex({
    read: () => {},
    // The runtime begins to speak once it has accepted the key.
    write: (_bytes, _encoding, written) => {
      resolve();
      written();
    },
  });
  const socket = tls.connect({ socket: wire, ca: authority, cert: certificate, key });
  socket.once("error", reject).once("close", () => reject(new Error("closed")));
  try {
    await promise;
  } finally {
    socket.destroy();
    wire.destroy();
  }
}

/** Removes expired authorities, but those that have issued `subject` where no valid one has. */
function usableAuthorities(
  authorities: readonly X509Certificate[],
  subject: X509Certificate,
): readonly X509Certificate[] {
  const isValid = ({ validTo }: X509Certificate) => Date.parse(validTo) > Date.now();
  const hasIssued = (it: X509Certificate) => hasSigned(it, subject);
  const valid = authorities.filter(isValid);
  if (valid.length === 0 || valid.length === authorities.length) return authorities;
  if (valid.some(hasIssued)) return valid;
  return authorities.filter((it) => isValid(it) || hasIssued(it));
}

/** Parses the certificates in a PEM text. Throws `Error` when there is none, or one is damaged. */
export function parseChain(pem: string): X509Certificate[] {
  return blocksOf(pem, /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)
    .map((block) => new X509Certificate(block));
}

const keyPattern = /-----BEGIN ([A-Z]+ )?PRIVATE KEY-----[^-]+-----END \1PRIVATE KEY-----/g;

/** Returns the matches without blank lines and other spaces, which the runtime refuses in a key. */
function blocksOf(pem: string, pattern: RegExp): [string, ...string[]] {
  const blocks = pem.match(pattern);
  if (!blocks) throw new Error("no PEM block");
  const linesOf = (block: string) => block.split("\n").map((line) => line.trim());
  const clean = (block: string) => `${linesOf(block).filter((line) => line !== "").join("\n")}\n`;
  return blocks.map(clean) as [string, ...string[]];
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
