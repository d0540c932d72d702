import { sanitizeLine } from "../host/log.ts";

/** What the agent reads of a certificate by itself. */
export type CertificateFields = ReturnType<typeof readCertificate>;

interface Element {
  readonly tag: number;
  readonly content: Uint8Array<ArrayBuffer>;
  /** With tag and length. */
  readonly whole: Uint8Array<ArrayBuffer>;
}

const tags = {
  boolean: 1,
  integer: 2,
  bits: 3,
  octets: 4,
  oid: 6,
  sequence: 0x30,
  set: 0x31,
  version: 0xa0,
  extensions: 0xa3,
  dnsName: 0x82,
  address: 0x87,
};
/** The encodings of text whose bytes are those of UTF-8. */
const textTags: ReadonlySet<number> = new Set([0x0c, 0x13, 0x16]);
const commonName = "550403";
const subjectAltName = "551d11";
const extendedKeyUsage = "551d25";
/** Extensions that the runtime's TLS reads as a sequence: also constraints and the places of CRLs. */
const sequences = new Set([subjectAltName, extendedKeyUsage, "551d13", "551d1e", "551d1f"]);

function fail(): never {
  throw new Error("not a certificate in DER");
}

/** Splits DER. Throws `Error` unless tags have one byte, and lengths the shortest form of up to two. */
function elementsOf(bytes: Uint8Array<ArrayBuffer>): Element[] {
  const elements: Element[] = [];
  for (let at = 0, end = 0; at < bytes.length; at = end) {
    const tag = bytes[at]!;
    const first = bytes[at + 1] ?? 0;
    const second = bytes[at + 2] ?? 0;
    let head = 2, length = first, shortest = 0;
    if (first === 0x81) [head, length, shortest] = [3, second, 0x80];
    else if (first === 0x82) {
      [head, length, shortest] = [4, second * 256 + (bytes[at + 3] ?? 0), 0x100];
    } else if (first >= 0x80) fail();
    end = at + head + length;
    if (length < shortest || length > 0xfffe) fail();
    if (end > bytes.length || (tag & 0x1f) === 0x1f) fail();
    const content = bytes.subarray(at + head, end);
    elements.push({ tag, content, whole: bytes.subarray(at, end) });
  }
  return elements;
}

/**
 * Reads a certificate. Throws `Error` unless it is strict DER with fields that RFC 5280 knows: of anything
 * else the runtime's TLS verifies no signature, not even that of the handshake (seen in 2.9.4).
 */
export function readCertificate(der: Uint8Array<ArrayBuffer>) {
  const only = ([it, ...others]: Element[]) => it && others.length === 0 ? it : fail();
  const contentOf = (it: Element | undefined, tag: number) => it?.tag === tag ? it.content : fail();
  const partsOf = (it: Element | undefined, tag: number) => elementsOf(contentOf(it, tag));
  const isVersion = (it: Element | undefined) => it?.tag === tags.version;

  const [signed, algorithm, signature, ...after] = partsOf(only(elementsOf(der)), tags.sequence);
  const fields = partsOf(signed, tags.sequence);
  const version = isVersion(fields[0]) ? only(partsOf(fields.shift(), tags.version)) : null;
  const [serial, sameAlgorithm, issuer, validity, subject, key, block, ...others] = fields;
  contentOf(serial, tags.integer);
  for (const it of [algorithm, validity]) contentOf(it, tags.sequence);
  const [keyAlgorithm, keyBits, ...afterKey] = partsOf(key, tags.sequence);
  contentOf(keyAlgorithm, tags.sequence);
  if (sameAlgorithm?.whole.toHex() !== algorithm!.whole.toHex()) fail();
  const [versionByte = 0, ...digits] = version ? contentOf(version, tags.integer) : [0];
  if ([signature, keyBits].some((it) => contentOf(it, tags.bits)[0] !== 0)) fail();
  if ([digits, after, others, afterKey].some(({ length }) => length > 0)) fail();

  const extensions = new Map<string, Element[]>();
  const list = block ? partsOf(only(partsOf(block, tags.extensions)), tags.sequence) : [];
  for (const [id, ...parts] of list.map((it) => partsOf(it, tags.sequence))) {
    const name = contentOf(id, tags.oid).toHex();
    // Whether it is critical; may be absent.
    const isCritical = parts.length > 1 ? contentOf(parts.shift(), tags.boolean).toHex() : "00";
    if (isCritical !== "00" && isCritical !== "ff") fail();
    const value = contentOf(only(parts), tags.octets);
    if (extensions.has(name)) fail();
    extensions.set(
      name,
      sequences.has(name) ? partsOf(only(elementsOf(value)), tags.sequence) : [],
    );
  }
  const names = extensions.get(subjectAltName) ?? null;
  // There are nine types of names.
  if (names?.some(({ tag }) => (tag & 0xc0) !== 0x80 || (tag & 0x1f) > 8)) fail();
  const nameOf = (it: Element | undefined) => {
    const attributes = partsOf(it, tags.sequence).flatMap((set) => partsOf(set, tags.set))
      .map((attribute) => partsOf(attribute, tags.sequence));
    const common = attributes.filter(([type]) => contentOf(type, tags.oid).toHex() === commonName);
    const textOf = (value: Element | undefined) =>
      value && textTags.has(value.tag) ? utf8.decode(value.content) : null;
    const commonNames: readonly (string | null)[] = common.map(([, value]) => textOf(value));
    return { der: it!.whole.toHex(), commonNames };
  };
  return {
    version: versionByte + 1,
    /** The part that is signed, in DER. */
    signed: signed!.whole,
    signature: signature!.content.subarray(1),
    /** The algorithm of the signature with its parameters: hex of its DER. */
    algorithm: algorithm!.whole.toHex(),
    /** The common names are null where they are not UTF-8, IA5 or printable text. */
    issuer: nameOf(issuer),
    subject: nameOf(subject),
    /** The names of subjectAltName that are of use; null where there is no such extension. */
    alternatives: names && {
      dnsNames: names.filter(({ tag }) => tag === tags.dnsName).map((it) =>
        utf8.decode(it.content)
      ),
      addresses: names.filter(({ tag }) => tag === tags.address).map((it) => it.content),
    },
    /** The extended key usage: hex of each object identifier; null where there is none. */
    purposes: extensions.get(extendedKeyUsage)?.map((it) => contentOf(it, tags.oid).toHex()) ??
      null,
  };
}

/** A byte order mark stays: without it, a name would be equal to another one. */
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * Returns true if a certificate has a name or an IP address. Looks at the common name only where
 * there is no subjectAltName, and only if there is exactly one. `*` stands for one whole label at
 * the start, above at least two others.
 */
export function hasName({ subject, alternatives }: CertificateFields, name: string): boolean {
  if (name.includes(":") || /^[\d.]+$/.test(name)) {
    const wanted = addressText(name);
    return alternatives?.addresses.some((it) => formatAddress(it) === wanted) ?? false;
  }
  const wanted = lowerCase(name.replace(/\.$/, ""));
  const common = commonNameOf(subject);
  const names = alternatives?.dnsNames ?? (common === null ? [] : [common]);
  return names.some((it) => matches(lowerCase(it), wanted));
}

/** Returns the common name; null unless there is exactly one, in a known encoding. */
export function commonNameOf({ commonNames }: CertificateFields["subject"]): string | null {
  return commonNames.length === 1 ? commonNames[0]! : null;
}

const longestName = 253;
const label = "[a-z0-9](?:[a-z0-9-]*[a-z0-9])?";
const wildcard = new RegExp(`^\\*((?:\\.${label}){2,})$`);

function matches(pattern: string, name: string): boolean {
  if (name === "" || pattern.length > longestName) return false;
  const [, parent] = wildcard.exec(pattern) ?? [];
  if (parent === undefined) return pattern === name;
  return name.endsWith(parent) && /^[a-z0-9-]+$/.test(name.slice(0, -parent.length));
}

/** Changes ASCII letters only: in Unicode, the sign for Kelvin has the lower case `k`. */
function lowerCase(text: string): string {
  return text.replace(/[A-Z]/g, (it) => it.toLowerCase());
}

/** Returns an address in its shortest form, which `formatAddress` has, too; null if it is none. */
function addressText(text: string): string | null {
  const host = text.includes(":") ? `[${text}]` : text;
  const url = URL.parse(`http://${host}/`);
  // An IPv4 address in another form, such as 127.1, is none for other programs.
  return url && (host !== text || url.hostname === text) ? url.hostname : null;
}

/** Returns the text of an address of 4 or 16 bytes, IPv6 in brackets; "" for others. */
function formatAddress(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  const words = bytes.toHex().match(/..../g) ?? [];
  return bytes.length === 16 ? URL.parse(`http://[${words.join(":")}]/`)?.hostname ?? "" : "";
}

/** How many names of a certificate a message repeats, and how many characters of each. */
const keptNames = 8;
const keptNameLength = 64;

/** Returns the names of a certificate for a message, the common names where it has no others. */
export function namesIn({ subject, alternatives }: CertificateFields): string {
  const names = alternatives
    ? [
      ...alternatives.dnsNames.map((it) => `DNS:${plainName(it)}`),
      ...alternatives.addresses.map((it) =>
        `IP Address:${formatAddress(it).replace(/^\[|\]$/g, "")}`
      ),
    ]
    : subject.commonNames.map((it) => `CN:${plainName(it ?? "?")}`);
  const more = names.length > keptNames ? `, and ${names.length - keptNames} more` : "";
  return (names.slice(0, keptNames).join(", ") || "none") + more;
}

/** Returns a name as JSON, without characters that steer a terminal; long ones are cut. */
export function quoteName(name: string): string {
  return sanitizeLine(JSON.stringify(name.slice(0, keptNameLength).toWellFormed()));
}

/** Returns a name as it is if it cannot be taken for several. */
export function plainName(name: string): string {
  const isPlain = name.length <= keptNameLength && /^[\w.*@-]+(?: [\w.*@-]+)*$/.test(name);
  return isPlain ? name : quoteName(name);
}
