import type * as Crypto from "node:crypto";
import type { X509Certificate } from "node:crypto";
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

/** What a chain must be fit for. */
export interface ChainCheck {
  /** The certificates of ca.crt. */
  readonly authorities: readonly X509Certificate[];
  readonly purpose: "server" | "client";
  /** In milliseconds since 1970. */
  readonly now: number;
}

/** `node:crypto`, which the callers load lazily. */
export type CryptoModule = Pick<typeof Crypto, "X509Certificate" | "constants" | "verify">;

/** How many certificates of a chain are looked at; there are that many factorial ways through it. */
export const longestChain = 6;

/** Returns the chain that a TLS socket tells of, or null where there is none, or none to be read. */
export function chainOf(
  peer: PeerCertificate & { readonly issuerCertificate?: PeerCertificate },
  { X509Certificate }: CryptoModule,
): Chain | null {
  const chain: X509Certificate[] = [];
  let next: typeof peer | undefined = peer;
  try {
    while (next?.raw && chain.length < longestChain) {
      chain.push(new X509Certificate(next.raw));
      // The last one is its own issuer.
      next = next.issuerCertificate === next ? undefined : next.issuerCertificate;
    }
  } catch {
    return null;
  }
  const [own, ...others] = chain;
  return own ? [own, ...others] : null;
}

/**
 * Returns what is wrong with a chain, or null. Trusts nothing that the runtime has verified: where a
 * chain has a certificate of version 1, or one that it cannot read, the runtime compares names and
 * verifies no signature, and it does not verify the certificate of a resumed session (seen in 2.9.4).
 */
export function findFault(
  chain: Chain,
  { authorities, purpose, now }: ChainCheck,
  crypto: CryptoModule,
): ChainFault | null {
  const paths = pathsOf(chain, authorities, crypto);
  const faults = paths.map(({ path, isSigned }): ChainFault | null => {
    const fields = path.map(fieldsOf);
    const at = path.findIndex((it, depth) => validityFault(it, fields[depth]!, now) !== null);
    if (at >= 0) {
      const reason = validityFault(path[at]!, fields[at]!, now)!;
      return { reason, certificate: path[at]!, isSigned };
    }
    if (!isSigned) return { reason: "foreign-authority", certificate: chain[0], isSigned };
    const uses = fields[0]?.purposes ?? null;
    const isFit = uses === null || uses.includes(purposes[purpose]);
    const unfit = isFit ? path.slice(1).find(({ ca }) => !ca) : chain[0];
    return unfit ? { reason: "wrong-purpose", certificate: unfit, isSigned } : null;
  });
  return faults.includes(null) ? null : faults.find((it) => it?.isSigned) ?? faults[0]!;
}

/** Object identifiers of the extended key usage. */
const purposes = { server: "2b06010505070301", client: "2b06010505070302" };

/** Returns what the agent itself reads of a certificate; null where it is not strict DER. */
export function fieldsOf({ raw }: Pick<X509Certificate, "raw">): CertificateFields | null {
  try {
    return readCertificate(new Uint8Array(raw));
  } catch {
    return null;
  }
}

function validityFault(
  { validFrom, validTo }: X509Certificate,
  fields: CertificateFields | null,
  now: number,
): "malformed" | "old-version" | "expired" | "not-yet-valid" | null {
  if (!fields) return "malformed";
  if (fields.version !== 3) return "old-version";
  if (!(Date.parse(validFrom) <= now)) return "not-yet-valid";
  return Date.parse(validTo) >= now ? null : "expired";
}

/** Returns true when one of `authorities` has signed the first of `chain`, directly or through it. */
export function isSignedBy(
  chain: Chain,
  authorities: readonly X509Certificate[],
  crypto: CryptoModule,
): boolean {
  return pathsOf(chain, authorities, crypto).some(({ isSigned }) => isSigned);
}

/** One way from the first certificate through issuers; `isSigned`: an authority signed its last. */
interface Path {
  readonly path: readonly X509Certificate[];
  readonly isSigned: boolean;
}

/** Returns each way from the first certificate to an authority, or as far as it goes. */
function pathsOf(
  chain: Chain,
  authorities: readonly X509Certificate[],
  crypto: CryptoModule,
): Path[] {
  const signers = new Map(chain.map((subject) => {
    const hasSignedIt = (it: X509Certificate) => hasSigned(it, subject, crypto);
    const issuers = chain.filter((it) => it !== subject && hasSignedIt(it));
    return [subject, { issuers, isSigned: authorities.some(hasSignedIt) }];
  }));
  const follow = (path: readonly X509Certificate[]): Path[] => {
    const { issuers, isSigned } = signers.get(path.at(-1)!)!;
    const next = isSigned ? [] : issuers.filter((it) => !path.includes(it));
    if (next.length === 0) return [{ path, isSigned }];
    return next.flatMap((it) => follow([...path, it]));
  };
  return follow([chain[0]]);
}

interface Algorithm {
  readonly hash: string | null;
  /** The salt of RSA-PSS in bytes; 0 for other algorithms. */
  readonly saltLength: number;
}

/** The algorithms that the runtime's TLS knows, by their DER with parameters, as hex. */
const algorithms = new Map<string, Algorithm>([
  ["300506032b6570", { hash: null, saltLength: 0 }],
  ...[32, 48, 64].flatMap((saltLength, index): [string, Algorithm][] => {
    const hash = `sha${saltLength * 8}`;
    const id = `300d06096086480165030402${["01", "02", "03"][index]}0500`;
    const pss = `a00f${id}a11c301a06092a864886f70d010108${id}a2030201${saltLength.toString(16)}`;
    const rsa = `06092a864886f70d01010${["b", "c", "d"][index]}`;
    return [
      [`300a06082a8648ce3d0403${["02", "03", "04"][index]}`, { hash, saltLength: 0 }],
      [`300d${rsa}0500`, { hash, saltLength: 0 }],
      [`300b${rsa}`, { hash, saltLength: 0 }],
      [`304106092a864886f70d01010a3034${pss}`, { hash, saltLength }],
    ];
  }),
]);

/** Returns true when the key of `issuer` has signed `subject`, which names it. */
export function hasSigned(
  issuer: X509Certificate,
  subject: X509Certificate,
  crypto: CryptoModule,
): boolean {
  const { verify, constants } = crypto;
  const fields = fieldsOf(subject);
  const algorithm = algorithms.get(fields?.algorithm ?? "");
  if (!fields || !algorithm || fieldsOf(issuer)?.subject.der !== fields.issuer.der) return false;
  const { hash, saltLength } = algorithm;
  try {
    const { publicKey } = issuer;
    const padding = constants.RSA_PKCS1_PSS_PADDING;
    const key = saltLength > 0 ? { key: publicKey, padding, saltLength } : publicKey;
    return verify(hash, fields.signed, key, fields.signature);
  } catch {
    // The runtime does not know this kind of key.
    return false;
  }
}
