import crypto, { X509Certificate } from "node:crypto";
import type { PeerCertificate } from "node:tls";
import { type CertificateFields, readCertificate } from "./x509.ts";

/** The certificates that a peer presents, its own first. */
export type Chain = readonly [X509Certificate, ...X509Certificate[]];

/** What is wrong with a chain. */
export interface ChainFault {
  readonly reason:
    | "malformed"
    | "old-version"
    | "expired"
    | "not-yet-valid"
    | "foreign-authority"
    | "wrong-purpose";
  /** The certificate that has the fault. */
  readonly certificate: X509Certificate;
  /** Whether an authority has signed the first certificate, directly or through the chain. */
  readonly isSigned: boolean;
}

/** How many certificates of a chain are looked at: each may cost a verification. */
export const longestChain = 6;

/** Returns the chain that a TLS socket presents; null when one of them cannot be parsed. */
export function chainOf(
  read: () => PeerCertificate & { readonly issuerCertificate?: PeerCertificate },
): Chain | null {
  return attempt(() => {
    const chain: X509Certificate[] = [];
    let next: ReturnType<typeof read> | undefined = read();
    while (next?.raw && chain.length < longestChain) {
      chain.push(new X509Certificate(next.raw));
      // The last one is its own issuer.
      next = next.issuerCertificate === next ? undefined : next.issuerCertificate;
    }
    return chain.length > 0 ? chain as [X509Certificate, ...X509Certificate[]] : null;
  });
}

/** Returns null for what the runtime cannot parse; its messages may quote a key. */
export function attempt<T>(parse: () => T): T | null {
  try {
    return parse();
  } catch {
    return null;
  }
}

/**
 * Returns what is wrong with a chain, or null. Trusts nothing that the runtime has verified: where a
 * chain has a certificate of version 1, or one that it cannot read, the runtime compares names and
 * verifies no signature, and it does not verify the certificate of a resumed session (seen in 2.9.4).
 */
export function findFault(
  chain: Chain,
  { authorities, purpose, now }: {
    /** The certificates of ca.crt. */
    readonly authorities: readonly X509Certificate[];
    readonly purpose: "server" | "client";
    /** In milliseconds since 1970. */
    readonly now: number;
  },
): ChainFault | null {
  const [own] = chain;
  const faultOf = (it: X509Certificate) =>
    certificateFault(it, it === own ? purpose : "authority", now);
  const sound = chain.filter((it) => faultOf(it) === null);
  if (signedBy(authorities, sound).has(own)) return null;
  const signed = signedBy(authorities, chain);
  const isSigned = signed.has(own);
  const certificate = isSigned ? chain.find((it) => signed.has(it) && !sound.includes(it))! : own;
  const reason = faultOf(certificate) ?? "foreign-authority";
  const isForeign = !isSigned && reason === "wrong-purpose";
  return { reason: isForeign ? "foreign-authority" : reason, certificate, isSigned };
}

/** Object identifiers of the extended key usage. */
const purposes = { server: "2b06010505070301", client: "2b06010505070302" };

/** Returns what is wrong with a certificate itself; null if nothing is. Verifies no signature. */
function certificateFault(
  certificate: X509Certificate,
  purpose: "authority" | keyof typeof purposes,
  now: number,
): ChainFault["reason"] | null {
  const fields = fieldsOf(certificate);
  if (!fields) return "malformed";
  if (fields.version !== 3) return "old-version";
  if (!(Date.parse(certificate.validFrom) <= now)) return "not-yet-valid";
  if (!(Date.parse(certificate.validTo) >= now)) return "expired";
  const isFit = purpose === "authority"
    ? certificate.ca
    : fields.purposes?.includes(purposes[purpose]) ?? true;
  return isFit ? null : "wrong-purpose";
}

const cache = new WeakMap<object, CertificateFields | null>();

/** Returns what the agent itself reads of a certificate; null where it is not strict DER. */
export function fieldsOf(certificate: Pick<X509Certificate, "raw">): CertificateFields | null {
  if (!cache.has(certificate)) {
    cache.set(certificate, attempt(() => readCertificate(new Uint8Array(certificate.raw))));
  }
  return cache.get(certificate)!;
}

/** Returns the common name, else the whole name; "?" where neither can be read. */
export function nameIn(certificate: X509Certificate, whose: "subject" | "issuer"): string {
  const [name] = fieldsOf(certificate)?.[whose].commonNames ?? [];
  // The runtime throws for text that is not UTF-8 (seen in 2.9.4).
  return name ?? attempt(() => certificate[whose]) ?? "?";
}

/** Returns what `authorities` have signed, directly or not; uses no key that none of them has signed. */
function signedBy(
  authorities: readonly X509Certificate[],
  certificates: readonly X509Certificate[],
): ReadonlySet<X509Certificate> {
  const signed = new Set<X509Certificate>();
  for (let issuers = authorities; issuers.length > 0;) {
    const unsigned = certificates.filter((it) => !signed.has(it));
    const next = unsigned.filter((it) => issuers.some((issuer) => hasSigned(issuer, it)));
    for (const it of next) signed.add(it);
    issuers = next;
  }
  return signed;
}

/** How a signature is verified; the salt, in bytes, is that of RSA-PSS, else 0. */
type Algorithm = readonly [hash: string | null, saltLength: number];

/** The algorithms that the runtime's TLS knows, by their DER with parameters, as hex. */
const algorithms = new Map<string, Algorithm>([
  ["300506032b6570", [null, 0]],
  ...[32, 48, 64].flatMap((saltLength, index): [string, Algorithm][] => {
    const hash = `sha${saltLength * 8}`;
    const id = `300d06096086480165030402${["01", "02", "03"][index]}0500`;
    const pss = `a00f${id}a11c301a06092a864886f70d010108${id}a2030201${saltLength.toString(16)}`;
    const rsa = `06092a864886f70d01010${["b", "c", "d"][index]}`;
    return [
      [`300a06082a8648ce3d0403${["02", "03", "04"][index]}`, [hash, 0]],
      [`300d${rsa}0500`, [hash, 0]],
      [`300b${rsa}`, [hash, 0]],
      [`304106092a864886f70d01010a3034${pss}`, [hash, saltLength]],
    ];
  }),
]);

/** Returns true when `subject` names `issuer` as its issuer. */
export function isNamed(issuer: X509Certificate, subject: X509Certificate): boolean {
  const name = fieldsOf(issuer)?.subject.der;
  return name !== undefined && name === fieldsOf(subject)?.issuer.der;
}

/** Certificate → the SHA-256 of issuers → whether the key of each has signed it. */
const verified = new WeakMap<X509Certificate, Map<string, boolean>>();

/**
 * Returns true when the key of `issuer` has signed `subject`, which names it. Verifies once: it takes
 * 1 ms, and a kept connection is checked at each heartbeat.
 */
export function hasSigned(issuer: X509Certificate, subject: X509Certificate): boolean {
  if (!isNamed(issuer, subject)) return false;
  const results = verified.get(subject) ?? new Map<string, boolean>();
  verified.set(subject, results);
  const { fingerprint256 } = issuer;
  const result = results.get(fingerprint256) ?? verifySignature(issuer, subject);
  results.set(fingerprint256, result);
  return result;
}

function verifySignature(issuer: X509Certificate, subject: X509Certificate): boolean {
  const fields = fieldsOf(subject);
  const algorithm = algorithms.get(fields?.algorithm ?? "");
  if (!fields || !algorithm) return false;
  const [hash, saltLength] = algorithm;
  // Null where the runtime does not know this kind of key.
  return attempt(() => {
    const { publicKey } = issuer;
    const padding = crypto.constants.RSA_PKCS1_PSS_PADDING;
    const key = saltLength > 0 ? { key: publicKey, padding, saltLength } : publicKey;
    return crypto.verify(hash, fields.signed, key, fields.signature);
  }) ?? false;
}
