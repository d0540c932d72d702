import assert from "node:assert/strict";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { opensslFinds } from "../tests/support/openssl.ts";
import {
  alternatives,
  commonNames,
  element,
  extension,
  generalName,
  makeCertificate,
  newKeys,
} from "../tests/support/raw_certificates.ts";
import { openssl } from "../tests/support/requirements.ts";
import { hasName, namesIn, readCertificate } from "./x509.ts";

const { address, directory, dns, email, other, registeredId, uri } = generalName;
const keys = newKeys();
const ipv6 = address(...[0x20, 1, 0xd, 0xb8], ...new Array(11).fill(0), 1);

/** Makes a certificate of these names; null stands for no subjectAltName. */
function certificateOf(names: Uint8Array[] | null, subject = commonNames(["worker-1"])) {
  return makeCertificate({ keys, subject, extensions: names ? [alternatives(...names)] : [] }).der;
}

type NameCase = [what: string, der: Uint8Array<ArrayBuffer>, name: string, isFound: boolean];
const name = "master.test";
const same: NameCase[] = [
  ["a DNS name", certificateOf([dns(name)]), name, true],
  ["a DNS name in other letters", certificateOf([dns("MASTER.Test")]), name, true],
  ["the last of several", certificateOf([dns("a"), uri("b:c"), dns(name)]), name, true],
  ["an address", certificateOf([address(192, 0, 2, 1)]), "192.0.2.1", true],
  ["an IPv6 address", certificateOf([ipv6]), "2001:db8::1", true],
  ["the same IPv6 address, written out", certificateOf([ipv6]), "2001:DB8:0:0:0:0:0:1", true],
  ["an address as a DNS name", certificateOf([dns("192.0.2.1")]), "192.0.2.1", false],
  ["a name as an address", certificateOf([element(0x87, dns(name))]), name, false],
  ["an address of five bytes", certificateOf([address(192, 0, 2, 1, 0)]), "192.0.2.1", false],
  ["an IPv4 address in IPv6", certificateOf([address(1, 2, 3, 4)]), "::ffff:1.2.3.4", false],
  ["a URI with a name", certificateOf([uri("urn:host-7, DNS:master.test"), dns("a")]), name, false],
  ["an email", certificateOf([email("x@a, DNS:master.test"), dns("a")]), name, false],
  ["a directory name", certificateOf([directory("x, DNS:master.test"), dns("a")]), name, false],
  ["a directory name that is it", certificateOf([directory(name), dns("a")]), name, false],
  ["a DNS name with a comma", certificateOf([dns("a, DNS:master.test")]), name, false],
  ["a DNS name with a line break", certificateOf([dns("a\nDNS:master.test")]), name, false],
  ["a DNS name with NUL", certificateOf([dns("master.test\0.evil.test")]), name, false],
  ["an other name", certificateOf([other(name), dns("a")]), name, false],
  ["a registered id", certificateOf([registeredId(), dns(name)]), name, true],
  [
    "the common name beside a DNS name",
    certificateOf([dns("a")], commonNames([name])),
    name,
    false,
  ],
  ["the common name", certificateOf(null, commonNames([name])), name, true],
  ["a common name with NUL", certificateOf(null, commonNames([`${name}\0.a`])), name, false],
  ["a common name in printable text", certificateOf(null, commonNames([name], 0x13)), name, true],
  ["a wildcard", certificateOf([dns("*.master.test")]), "one.master.test", true],
  ["a wildcard for two labels", certificateOf([dns("*.master.test")]), "a.b.master.test", false],
  ["a wildcard for no label", certificateOf([dns("*.master.test")]), name, false],
  ["a wildcard above one label", certificateOf([dns("*.test")]), name, false],
  ["a wildcard alone", certificateOf([dns("*")]), "master", false],
  ["a wildcard further right", certificateOf([dns("a.*.test")]), "a.master.test", false],
  ["two wildcards", certificateOf([dns("*.*.test")]), "a.master.test", false],
  ["a wildcard in an IDNA label", certificateOf([dns("xn--*.b.test")]), "xn--a.b.test", false],
  ["a wildcard for an address", certificateOf([dns("*.0.2.1")]), "192.0.2.1", false],
  ["a wildcard above a bad label", certificateOf([dns("*.-a.test")]), "b.-a.test", false],
  ["a wildcard as common name", certificateOf(null, commonNames(["*.a.test"])), "b.a.test", true],
];
/** What OpenSSL finds, and the agent does not. */
const stricter: NameCase[] = [
  [
    "the common name beside an address",
    certificateOf([address(1, 2, 3, 4)], commonNames([name])),
    name,
    true,
  ],
  ["the common name beside an empty list", certificateOf([], commonNames([name])), name, true],
  ["one of two common names", certificateOf(null, commonNames(["a", name])), name, true],
  ["a common name in T61 text", certificateOf(null, commonNames([name], 0x14)), name, true],
  ["a part of a label", certificateOf([dns("m*.test.test")]), "master.test.test", true],
];

openssl.test("hasName() finds the names that OpenSSL finds, and no others", async () => {
  using folder = new TemporaryFolder();
  const file = `${folder.path}/it.pem`;
  for (const [what, der, wanted, isFound] of same) {
    assert.equal(await opensslFinds(der, wanted, file) ?? false, isFound, `OpenSSL: ${what}`);
    assert.equal(hasName(readCertificate(der), wanted), isFound, what);
  }
  for (const [what, der, wanted] of stricter) {
    assert.equal(await opensslFinds(der, wanted, file), true, `OpenSSL: ${what}`);
    assert.equal(hasName(readCertificate(der), wanted), false, what);
  }
});

Deno.test("hasName() compares letters of ASCII only, and no mark before a name", () => {
  const finds = (text: string, wanted: string) =>
    hasName(readCertificate(certificateOf(null, commonNames([text]))), wanted);
  assert.equal(finds("desk.test", "DESK.test."), true);
  // U+212A has the lower case k.
  assert.equal(finds("des\u212a.test", "desk.test"), false);
  assert.equal(finds("\ufeffdesk.test", "desk.test"), false);
});

/** Replaces the first such bytes, given in hex; the length must stay. */
function patch(der: Uint8Array, from: string, to: string): Uint8Array<ArrayBuffer> {
  const hex = der.toHex();
  assert.ok(hex.includes(from) && from.length === to.length, from);
  return Uint8Array.fromHex(hex.replace(from, to));
}

Deno.test("readCertificate() throws for what is not strict DER", () => {
  const good = certificateOf([dns(name)]);
  const san = alternatives(dns(name));
  const withExtensions = (...extensions: Uint8Array[]) =>
    makeCertificate({ keys, subject: commonNames(["a"]), extensions }).der;
  const cases: [what: string, der: Uint8Array<ArrayBuffer>][] = [
    ["nothing", new Uint8Array(0)],
    ["a byte behind it", Uint8Array.of(...good, 0)],
    ["two certificates", Uint8Array.of(...good, ...good)],
    ["an indefinite length", patch(good, "820b6d6173746572", "82806d6173746572")],
    ["a length past the end", patch(good, "820b6d6173746572", "820c6d6173746572")],
    ["a huge length", patch(good, "820b6d6173746572", "8284ffffffff7465")],
    ["a length that is too long", patch(good, "820b6d6173746572", "82810a6173746572")],
    ["a tag of two bytes", patch(good, "820b6d6173746572", "9f0b6d6173746572")],
    ["an unknown type of name", patch(good, "820b6d6173746572", "890b6d6173746572")],
    ["a subjectAltName twice", withExtensions(san, san)],
    ["another extension twice", withExtensions(extension(14, dns("a")), extension(14, dns("b")))],
    ["a subjectAltName that is no list", withExtensions(extension(17, dns(name)))],
    ["a key usage that is no list", withExtensions(extension(37, dns(name)))],
    ["bytes behind a subjectAltName", withExtensions(extension(17, Uint8Array.of(0x30, 0, 5, 0)))],
    ["no list of extensions", withExtensions(Uint8Array.of(5, 0))],
    ["another algorithm inside", patch(good, "06082a8648ce3d040302", "06082a8648ce3d040303")],
  ];
  assert.deepEqual(readCertificate(good).alternatives?.dnsNames, [name]);
  for (const [what, der] of cases) assert.throws(() => readCertificate(der), Error, what);
});

Deno.test("readCertificate() throws for each certificate that is cut", () => {
  const good = certificateOf([dns(name), ipv6]);
  for (let length = 0; length < good.length; length++) {
    assert.throws(() => readCertificate(good.slice(0, length)), `${length} bytes`);
  }
});

Deno.test("readCertificate() reads version, names and purposes", () => {
  const purposes = extension(37, element(0x30, Uint8Array.fromHex("06082b06010505070302")));
  const subject = commonNames(["worker-1"]);
  const { der } = makeCertificate({ keys, subject, extensions: [purposes] });
  const { version, subject: read, alternatives: none, purposes: ids } = readCertificate(der);
  assert.deepEqual([version, read.commonNames, none], [3, ["worker-1"], null]);
  assert.deepEqual(ids, ["2b06010505070302"]);
  const old = makeCertificate({ keys, version: 1, subject }).der;
  assert.equal(readCertificate(old).version, 1);
});

Deno.test("namesIn() writes no name that looks like two, and few of many", () => {
  const textOf = (...names: Uint8Array[]) => namesIn(readCertificate(certificateOf(names)));
  assert.equal(
    textOf(dns("a.test"), address(192, 0, 2, 1), ipv6),
    "DNS:a.test, IP Address:192.0.2.1, IP Address:2001:db8::1",
  );
  assert.equal(textOf(dns("a, DNS:b\n"), uri("urn:c")), 'DNS:"a, DNS:b\\n"');
  assert.equal(textOf(), "none");
  const many = textOf(...new Array(99).fill(dns("x".repeat(300))));
  assert.ok(many.endsWith(", and 91 more") && many.length < 700, many);
  assert.equal(namesIn(readCertificate(certificateOf(null))), "CN:worker-1");
});
