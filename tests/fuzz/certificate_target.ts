import assert from "node:assert/strict";
import { type CertificateFields, hasName, namesIn, readCertificate } from "../../master/x509.ts";
import type { SeededRandom } from "../support/random.ts";
import { opensslFinds } from "../support/openssl.ts";
import {
  alternatives,
  commonNames,
  element,
  generalName,
  pemOf,
} from "../support/raw_certificates.ts";
import { encode, hostileText, mutateBytes } from "./hostile.ts";
import { checkMessage } from "./oracles.ts";
import type { Target } from "./target.ts";

const wanted = ["master.test", "one.master.test", "MASTER.test", "xn--a.b.test", "a.b.c.test", "x"]
  .concat("192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", ".test", "-a.test");
const near = ["*.master.test", "*.test", "*", "m*.test", "*r.test", "*.*.test", "xn--*.b.test"]
  .concat("a.*.c.test", "*.-a.test", "*.b-.test", "master.test.", " master.test", "master.test\0.a")
  .concat("x, DNS:master.test", "x\nDNS:master.test", "https://master.test/", "ma\u0000ster.test");
const addresses = [[192, 0, 2, 1], [192, 0, 2, 1, 255, 255, 255, 0], [1], [], [1, 2, 3, 0]]
  .concat([[0x20, 1, 0xd, 0xb8, ...new Array(11).fill(0), 1]])
  .concat([[...new Array(10).fill(0), 255, 255, 192, 0, 2, 1]]);
// Always the same, so that a case can be run again: nothing looks at the key or the signature.
const bytes = (hex: string) => Uint8Array.fromHex(hex);
const [version, serial] = [bytes("a003020102"), bytes("020101")];
const algorithm = bytes("300a06082a8648ce3d040302");
const validity = element(
  0x30,
  element(0x17, encode("260101000000Z")),
  element(0x17, encode("360101000000Z")),
);
const key = element(
  0x30,
  bytes("301306072a8648ce3d020106082a8648ce3d030107"),
  element(3, bytes(`0004${"11".repeat(64)}`)),
);
const criticalKeyUsage = bytes("300e0603551d0f0101ff0404030205a0");
const signature = element(3, bytes(`00${"22".repeat(70)}`));

function nameText(random: SeededRandom): string {
  return random.any(
    () => random.pick(wanted),
    () => random.pick(near),
    () => random.pick(near),
    () => hostileText(random, "name").slice(0, 900),
  );
}

/** Returns a name of any type, most of them DNS names. */
function randomName(random: SeededRandom): Uint8Array {
  const { address, directory, dns, email, other, registeredId, uri } = generalName;
  return random.any(
    () => dns(nameText(random)),
    () => dns(nameText(random)),
    () => dns(nameText(random)),
    () => address(...random.pick(addresses)),
    () => uri(nameText(random)),
    () => email(nameText(random)),
    () => directory(nameText(random)),
    () => other(nameText(random)),
    () => registeredId(),
  );
}

/** Types of text: UTF-8, printable, IA5, T61. */
const textTags = [0x0c, 0x0c, 0x13, 0x16, 0x14];

function randomCertificate(random: SeededRandom): Uint8Array<ArrayBuffer> {
  const texts = random.times(random.pick([1, 1, 1, 0, 2]), () => nameText(random));
  const names = random.isOneIn(4) ? null : random.times(random.few(5), () => randomName(random));
  const subject = commonNames(texts, random.pick(textTags));
  const list = [...(names ? [alternatives(...names)] : []), criticalKeyUsage];
  const extensions = element(0xa3, element(0x30, ...list));
  const signed = element(
    0x30,
    version,
    serial,
    algorithm,
    subject,
    validity,
    subject,
    key,
    extensions,
  );
  return element(0x30, signed, algorithm, signature);
}

/** Opens the target: certificates, read by the agent, by OpenSSL and by the runtime's TLS. */
export function open(folder: string): Target {
  const file = `${folder}/certificate.pem`;
  return {
    run: async (random) => {
      const der = randomCertificate(random);
      if (random.isOneIn(2)) return await compareNames(der, random, file);
      return await checkMutated(mutateBytes(der, random, { faults: 1 + random.few(3) }), file);
    },
  };
}

async function compareNames(
  der: Uint8Array<ArrayBuffer>,
  random: SeededRandom,
  file: string,
): Promise<string> {
  const fields = readCertificate(der);
  checkMessage(namesIn(fields), 1_000);
  const found = wanted.filter((it) => hasName(fields, it));
  const name = random.pick(found.length > 0 && random.isOneIn(2) ? found : wanted);
  const isFound = hasName(fields, name);
  const isFoundByOpenssl = await opensslFinds(der, name, file);
  // A directory name without text, for instance.
  if (isFoundByOpenssl === null) return "not read by OpenSSL";
  if (isFound === isFoundByOpenssl) return isFound ? "found" : "not found";
  assert.ok(
    !isFound && isStricter(fields, name),
    `${name} in ${namesIn(fields)}: only one finds it`,
  );
  return "found by OpenSSL only";
}

/** Whether the agent may refuse a name that OpenSSL finds, see docs/protocol.md. */
function isStricter({ subject, alternatives }: CertificateFields, name: string): boolean {
  if (name.startsWith(".")) return true;
  const names = alternatives?.dnsNames ?? [];
  const isCommon = names.length === 0 && (alternatives !== null || subject.commonNames.length > 1);
  const isOddText = alternatives === null && subject.commonNames.includes(null);
  const all = [...names, ...subject.commonNames];
  return isCommon || isOddText || all.some((it) => it !== null && /[^.]\*|\*[^.]/.test(it));
}

/** Checks a certificate with faults: what the agent reads, the runtime's TLS must be able to read. */
async function checkMutated(der: Uint8Array<ArrayBuffer>, file: string): Promise<string> {
  let fields: CertificateFields;
  try {
    fields = readCertificate(der);
  } catch (error) {
    assert.equal((error as Error).message, "not a certificate in DER");
    return "unreadable";
  }
  checkMessage(namesIn(fields), 1_000);
  if (fields.version === 3) {
    try {
      // Reads it as an authority: the cheapest way to have the TLS library read one.
      Deno.createHttpClient({ caCerts: [pemOf(der)] }).close();
    } catch (error) {
      // Anything else makes the runtime refuse the certificate.
      assert.doesNotMatch((error as Error).message, /BadEncoding|UnsupportedCertVersion/);
    }
  }
  const name = wanted.find((it) => !it.endsWith(".") && hasName(fields, it));
  if (name === undefined) return "read";
  assert.notEqual(await opensslFinds(der, name, file), false, `OpenSSL does not find ${name}`);
  return "read, with a name";
}
