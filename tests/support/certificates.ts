// One of the dependencies of @peculiar/x509 refuses to load without it.
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import type { Identity } from "../../master/certificates.ts";
import { plantKey } from "./secrets.ts";

const hourMs = 3_600_000;
const yearMs = 365 * 24 * hourMs;
const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

/** What a throw-away certificate is to say; the validity is from one hour ago for one year unless told. */
export interface IssueOptions {
  commonName: string;
  dnsNames?: string[];
  ipAddresses?: string[];
  notBefore?: Date;
  notAfter?: Date;
  /** Which side of a connection may use it; default `both`. */
  usage?: "server" | "client" | "both";
}

/** A certificate with its key (PEM, key in PKCS8) and the SHA-256 of its DER in lower-case hex. */
export interface IssuedCertificate {
  certificatePem: string;
  keyPem: string;
  fingerprint: string;
}

/** A certificate authority that can issue any number of certificates. */
export interface Authority {
  certificatePem: string;
  issue(options: IssueOptions): Promise<IssuedCertificate>;
}

/** Makes a self-signed authority, valid for ten years to either side of now unless told. */
export async function createAuthority(
  name: string,
  notAfter = new Date(Date.now() + 10 * yearMs),
): Promise<Authority> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const usages = x509.KeyUsageFlags;
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: randomSerial(),
    name: [{ CN: [name] }],
    // Wide, so that a leaf made to be expired or not yet valid is refused for its own dates.
    notBefore: new Date(Date.now() - 10 * yearMs),
    notAfter,
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(usages.keyCertSign | usages.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });

  async function issue(options: IssueOptions): Promise<IssuedCertificate> {
    const { commonName, dnsNames = [], ipAddresses = [], usage = "both" } = options;
    const leafKeys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
    const purposes = [
      ...(usage === "client" ? [] : [x509.ExtendedKeyUsage.serverAuth]),
      ...(usage === "server" ? [] : [x509.ExtendedKeyUsage.clientAuth]),
    ];
    const alternatives = [
      ...dnsNames.map((value) => ({ type: "dns" as const, value })),
      ...ipAddresses.map((value) => ({ type: "ip" as const, value })),
    ];
    const leaf = await x509.X509CertificateGenerator.create({
      serialNumber: randomSerial(),
      subject: [{ CN: [commonName] }],
      issuer: root.subjectName,
      notBefore: options.notBefore ?? new Date(Date.now() - hourMs),
      notAfter: options.notAfter ?? new Date(Date.now() - hourMs + yearMs),
      signingAlgorithm: algorithm,
      publicKey: leafKeys.publicKey,
      signingKey: keys.privateKey,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(usages.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension(purposes),
        // An empty list of names would be malformed DER.
        ...(alternatives.length > 0
          ? [new x509.SubjectAlternativeNameExtension(alternatives)]
          : []),
        await x509.SubjectKeyIdentifierExtension.create(leafKeys.publicKey),
        await x509.AuthorityKeyIdentifierExtension.create(keys.publicKey),
      ],
    });
    const pkcs8 = await crypto.subtle.exportKey("pkcs8", leafKeys.privateKey);
    const keyPem = x509.PemConverter.encode(pkcs8, "PRIVATE KEY") + "\n";
    plantKey(keyPem);
    return {
      certificatePem: leaf.toString("pem") + "\n",
      keyPem,
      fingerprint: toHex(await crypto.subtle.digest("SHA-256", leaf.rawData)),
    };
  }

  return { certificatePem: root.toString("pem") + "\n", issue };
}

/** Writes `ca.crt`, `worker.crt` and `worker.key` (mode 0600) into an existing directory. */
export async function writeAgentDirectory(
  directory: string,
  authority: Pick<Authority, "certificatePem">,
  worker: IssuedCertificate,
): Promise<void> {
  await Deno.writeTextFile(`${directory}/ca.crt`, authority.certificatePem);
  await Deno.writeTextFile(`${directory}/worker.crt`, worker.certificatePem);
  await Deno.writeTextFile(`${directory}/worker.key`, worker.keyPem, { mode: 0o600 });
  // The mode above counts only for a new file.
  await Deno.chmod(`${directory}/worker.key`, 0o600);
}

/** A positive serial number of 16 bytes, in hex. */
function randomSerial(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[0] = (bytes[0] ?? 0) & 0x3f | 0x40;
  return toHex(bytes.buffer);
}

function toHex(buffer: ArrayBuffer): string {
  return new Uint8Array(buffer).toHex();
}

/** A certificate with several common names, good for both ends, and the authority that signed it. */
export async function certificateOfNames(
  names: readonly string[],
): Promise<Identity & { readonly authorityKey: string }> {
  const authorityKeys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [...names].slice(0, 1) }],
    keys: authorityKeys,
    signingAlgorithm: algorithm,
    extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
  });
  const leaf = await x509.X509CertificateGenerator.create({
    subject: names.map((name) => ({ CN: [name] })),
    issuer: root.subjectName,
    publicKey: keys.publicKey,
    signingKey: authorityKeys.privateKey,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.SubjectAlternativeNameExtension([{ type: "ip", value: "127.0.0.1" }]),
    ],
  });
  const keyOf = async ({ privateKey }: CryptoKeyPair) =>
    x509.PemConverter.encode(await crypto.subtle.exportKey("pkcs8", privateKey), "PRIVATE KEY");
  return {
    authority: root.toString("pem"),
    certificate: leaf.toString("pem"),
    key: await keyOf(keys),
    authorityKey: await keyOf(authorityKeys),
  };
}
