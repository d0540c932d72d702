import {
  createHash,
  generateKeyPairSync,
  type KeyObject,
  type KeyPairKeyObjectResult,
  randomBytes,
  sign,
} from "node:crypto";
import { plantKey } from "./secrets.ts";

/** Makes certificates byte by byte: also those that no tool would make. */

/** Encodes a DER element. */
export function element(tag: number, ...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const content = Uint8Array.from(parts.flatMap((it) => [...it]));
  const { length } = content;
  const size = length < 0x80
    ? [length]
    : length < 0x100
    ? [0x81, length]
    : [0x82, length >> 8, length & 0xff];
  return Uint8Array.of(tag, ...size, ...content);
}

const bytes = (hex: string) => Uint8Array.fromHex(hex);
/** Encodes text as UTF-8. */
export const encode = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);

/** The attribute common name, with this value. */
export function attribute(value: Uint8Array): Uint8Array<ArrayBuffer> {
  return element(0x30, bytes("0603550403"), value);
}

/** A distinguished name of common names; `tag` is the type of their text. */
export function commonNames(names: readonly string[], tag = 0x0c): Uint8Array<ArrayBuffer> {
  const attributes = names.map((it) => element(0x31, attribute(element(tag, encode(it)))));
  return element(0x30, ...attributes);
}

/** The kinds of names in subjectAltName. */
export const generalName = {
  dns: (text: string) => element(0x82, encode(text)),
  address: (...values: number[]) => element(0x87, Uint8Array.from(values)),
  uri: (text: string) => element(0x86, encode(text)),
  email: (text: string) => element(0x81, encode(text)),
  directory: (commonName: string) => element(0xa4, commonNames([commonName])),
  registeredId: () => bytes("88032a0304"),
  /** Of the type UPN. */
  other: (text: string) =>
    element(0xa0, bytes("060a2b060104018237140203"), element(0xa0, element(0x0c, encode(text)))),
};

/** An extension; `id` is the end of its object identifier in 2.5.29. */
export function extension(id: number, value: Uint8Array): Uint8Array<ArrayBuffer> {
  return element(0x30, element(6, Uint8Array.of(0x55, 0x1d, id)), element(4, value));
}

/** The extension subjectAltName. */
export function alternatives(...names: Uint8Array[]): Uint8Array<ArrayBuffer> {
  return extension(17, element(0x30, ...names));
}

/** The extension basicConstraints of an authority. */
export const isAuthority: Uint8Array = extension(19, bytes("30030101ff"));

/** What a certificate is made of. */
interface RawCertificate {
  readonly version?: 1 | 3;
  readonly subject: Uint8Array;
  readonly extensions?: readonly Uint8Array[];
  /** In milliseconds from now. */
  readonly from?: number;
  readonly to?: number;
  /** Created unless given. */
  readonly keys?: KeyPairKeyObjectResult;
  /** Replaces the DER of the public key. */
  readonly publicKeyInfo?: Uint8Array;
  /** Its own key by default. */
  readonly signer?: RawIssuer;
}

/** Who signs a certificate. */
interface RawIssuer {
  readonly subject: Uint8Array;
  readonly privateKey: KeyObject;
}

/** A certificate with its key. */
export interface MadeCertificate extends RawIssuer {
  readonly der: Uint8Array<ArrayBuffer>;
  readonly certificatePem: string;
  readonly keyPem: string;
  readonly fingerprint: string;
  readonly publicKey: KeyObject;
}

const ecdsa = bytes("300a06082a8648ce3d040302");
const dayMs = 86_400_000;
const timeOf = (ms: number) =>
  element(
    0x17,
    encode(new Date(Date.now() + ms).toISOString().replace(/[-:T]|\.\d+/g, "").slice(2)),
  );

/** Makes a key pair on P-256. */
export function newKeys(): KeyPairKeyObjectResult {
  const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
  plantKey(String(keys.privateKey.export({ type: "pkcs8", format: "pem" })));
  return keys;
}

/** Makes a certificate; signed by itself unless given an issuer. */
export function makeCertificate(options: RawCertificate): MadeCertificate {
  const { version = 3, subject, extensions = [], from = -dayMs, to = dayMs } = options;
  const { publicKey, privateKey } = options.keys ?? newKeys();
  const issuer = options.signer ?? { subject, privateKey };
  const signed = element(
    0x30,
    ...(version === 1 ? [] : [bytes("a003020102")]),
    element(2, Uint8Array.of(1), randomBytes(8)),
    ecdsa,
    issuer.subject,
    element(0x30, timeOf(from), timeOf(to)),
    subject,
    options.publicKeyInfo ?? publicKey.export({ type: "spki", format: "der" }),
    ...(extensions.length === 0 ? [] : [element(0xa3, element(0x30, ...extensions))]),
  );
  const signature = sign("sha256", signed, issuer.privateKey);
  const der = element(0x30, signed, ecdsa, element(3, Uint8Array.of(0), signature));
  const keyPem = String(privateKey.export({ type: "pkcs8", format: "pem" }));
  const fingerprint = createHash("sha256").update(der).digest("hex");
  return { der, certificatePem: pemOf(der), keyPem, fingerprint, publicKey, privateKey, subject };
}

/** Writes DER as PEM. */
export function pemOf(der: Uint8Array): string {
  const lines = der.toBase64().replaceAll(/.{1,64}/g, "$&\n");
  return `-----BEGIN CERTIFICATE-----\n${lines}-----END CERTIFICATE-----\n`;
}

/**
 * A key in PEM that claims the public key of `claimed`: OpenSSL compares only that one with a
 * certificate, and so serves it without having its key.
 */
export function forgedKey(claimed: KeyObject): string {
  const { d } = newKeys().privateKey.export({ format: "jwk" });
  const secret = Uint8Array.fromBase64(d!, { alphabet: "base64url" });
  const point = claimed.export({ type: "spki", format: "der" }).subarray(-65);
  const key = element(
    0x30,
    bytes("020101"),
    element(4, secret),
    element(0xa0, bytes("06082a8648ce3d030107")),
    element(0xa1, element(3, Uint8Array.of(0), point)),
  );
  return `-----BEGIN EC PRIVATE KEY-----\n${key.toBase64()}\n-----END EC PRIVATE KEY-----\n`;
}
