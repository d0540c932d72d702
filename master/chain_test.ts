import assert from "node:assert/strict";
import crypto from "node:crypto";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { authority, certificatesOf, TestClient } from "../tests/support/master_setup.ts";
import { runOpenssl, serveOpenssl } from "../tests/support/openssl.ts";
import {
  alternatives,
  commonNames,
  element,
  extension,
  forgedKey,
  generalName,
  isAuthority,
  makeCertificate,
  newKeys,
  pemOf,
} from "../tests/support/raw_certificates.ts";
import { openssl } from "../tests/support/requirements.ts";
import { TlsMaster } from "../tests/support/tls_master.ts";
import { type Chain, findFault, longestChain } from "./chain.ts";

const worker = await certificatesOf("worker-1");
const root = makeCertificate({ subject: commonNames(["root"]), extensions: [isAuthority] });
const names = alternatives(generalName.dns("master.test"));
const subject = commonNames(["master.test"]);
const good = makeCertificate({ subject, extensions: [names], signer: root });

/** Posts to a master that presents these certificates; returns what is said, or the status. */
async function postTo(
  { certificatePem, keyPem }: { certificatePem: string; keyPem: string },
  trusted = root.certificatePem,
): Promise<string> {
  const certificate = { certificatePem, keyPem, fingerprint: "" };
  await using master = await TlsMaster.start({ authority, certificate });
  using client = await TestClient.to(master);
  const posted = client.post({ certificates: { ...worker, authority: trusted } });
  const said = await posted.then(({ status }) => String(status), ({ message }) => message);
  assert.equal(master.heartbeatCount, said === "204" ? 1 : 0);
  return said;
}

/** The authority's name, and a key that it has not signed. */
const impostor = makeCertificate({ subject: commonNames(["root"]), extensions: [isAuthority] });
/** An extension that the runtime cannot read; its DER is well formed. */
const unreadable = (id: number) => extension(id, element(0x30, Uint8Array.of(5, 0)));
const forge = (...extensions: Uint8Array[]) =>
  makeCertificate({ subject, extensions: [names, ...extensions], signer: impostor });
const old = makeCertificate({ version: 1, subject, signer: impostor });
const issuerOfOld = makeCertificate({ version: 1, subject: commonNames(["old"]), signer: root });
const belowOld = makeCertificate({ subject, extensions: [names], signer: issuerOfOld });
const host = makeCertificate({ subject: commonNames(["host-7"]), signer: root });
const belowHost = makeCertificate({ subject, extensions: [names], signer: host });
const unreadableBelowHost = makeCertificate({
  subject,
  extensions: [names, unreadable(19)],
  signer: host,
});
const damaged = pemOf(Uint8Array.of(0x30, 3, 2, 1, 1));
const withChain = (own: typeof good, ...others: string[]) => ({
  certificatePem: [own.certificatePem, ...others].join(""),
  keyPem: own.keyPem,
});

const foreign = /is not signed by ca\.crt/;
const malformed = /a certificate that it presents is damaged, or not written as RFC 5280 says/;
const version = /its certificate is not of X\.509 version 3/;
const refused: [what: string, shown: Parameters<typeof postTo>[0], says: RegExp][] = [
  ["of version 3 that only names it", forge(), foreign],
  ["of version 1 that only names it", old, version],
  [
    "of version 1 that it has signed",
    makeCertificate({ version: 1, subject, signer: root }),
    version,
  ],
  ["of version 1, with another key", { ...old, keyPem: good.keyPem }, version],
  ["with a purpose that cannot be read", forge(unreadable(37)), malformed],
  ["with constraints that cannot be read", forge(unreadable(19)), foreign],
  ["with limits of names that cannot be read", forge(unreadable(30)), foreign],
  [
    "below one of version 1",
    withChain(belowOld, issuerOfOld.certificatePem),
    /its issuer "old" is not of X\.509 version 3/,
  ],
  ["below another host's", withChain(belowHost, host.certificatePem), /not fit for a server/],
  [
    "below another host's, unreadable",
    withChain(unreadableBelowHost, host.certificatePem),
    /not fit for a server/,
  ],
  ["before a damaged one", withChain(forge(unreadable(19)), damaged), malformed],
  ["before one of version 1", withChain(forge(), issuerOfOld.certificatePem), foreign],
];

Deno.test("M24 MasterClient.post() refuses what ca.crt has not signed", async () => {
  for (const [what, shown, says] of refused) assert.match(await postTo(shown), says, what);
  assert.equal(await postTo(good), "204");
});

Deno.test("MasterClient.post() takes a master that stands in ca.crt itself", async () => {
  for (const extensions of [[names], [names, isAuthority]]) {
    const own = makeCertificate({ subject, extensions });
    assert.equal(await postTo(own, own.certificatePem), "204");
    assert.equal(await postTo(own, root.certificatePem + own.certificatePem), "204");
    const expired = makeCertificate({ subject, extensions, to: -60_000 });
    assert.match(await postTo(expired, expired.certificatePem), /has expired/);
  }
  const own = makeCertificate({ version: 1, subject });
  assert.match(await postTo(own, own.certificatePem), version);
  assert.match(await postTo({ ...own, keyPem: good.keyPem }, own.certificatePem), version);
});

openssl.test("MasterClient.post() refuses a master without its key", async () => {
  using folder = new TemporaryFolder();
  for (const extensions of [[names], [names, isAuthority]]) {
    const own = makeCertificate({ subject, extensions });
    for (const tls of ["-tls1_2", "-tls1_3"]) {
      for (const key of [own.keyPem, forgedKey(own.publicKey)]) {
        // OpenSSL does not notice a key that only claims to be the right one.
        await Deno.writeTextFile(`${folder.path}/server.pem`, own.certificatePem + key);
        await using server = await serveOpenssl(folder.path, ["-cert", "server.pem", tls]);
        const { fingerprint } = own;
        using client = await TestClient.to(server, { fingerprint });
        const certificates = { ...worker, authority: own.certificatePem };
        const posted = client.post({ certificates, timeoutMs: 500 });
        // OpenSSL's server answers nothing: what it has received shows whom the agent believes.
        await assert.rejects(
          posted,
          key === own.keyPem ? /no answer within 0\.5 s/ : /is not that of its certificate/,
        );
        assert.equal(server.said().includes("POST /swarm/heartbeat"), key === own.keyPem, tls);
      }
    }
  }
});

openssl.test("M24 MasterClient.post() refuses DER that hides who signed a handshake", async () => {
  let keys = newKeys();
  const pointOf = () => keys.publicKey.export({ type: "spki", format: "der" }).subarray(-65);
  // The last bit must be free.
  while (pointOf()[64]! % 2 === 1) keys = newKeys();
  const ec = Uint8Array.fromHex("301306072a8648ce3d020106082a8648ce3d030107");
  const isCritical = (value: number) => {
    const list = element(0x30, generalName.dns("master.test"));
    const parts = [element(6, Uint8Array.of(0x55, 0x1d, 17)), element(1, Uint8Array.of(value))];
    return element(0x30, ...parts, element(4, list));
  };
  const odd = [
    { extensions: [isCritical(1)] },
    { publicKeyInfo: element(0x30, ec, element(3, Uint8Array.of(1), pointOf())) },
  ];
  using folder = new TemporaryFolder();
  for (const options of [...odd, { extensions: [isCritical(0xff)] }]) {
    const own = makeCertificate({ subject, extensions: [names], keys, signer: root, ...options });
    await Deno.writeTextFile(
      `${folder.path}/server.pem`,
      own.certificatePem + forgedKey(keys.publicKey),
    );
    await using server = await serveOpenssl(folder.path, ["-cert", "server.pem"]);
    using client = await TestClient.to(server);
    const certificates = { ...worker, authority: root.certificatePem };
    const isOdd = odd.some((it) => it === options);
    await assert.rejects(
      client.post({ certificates, timeoutMs: 500 }),
      isOdd ? malformed : /is not that of its certificate/,
    );
    assert.equal(server.said().includes("POST /swarm/heartbeat"), false);
  }
});

const pss = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:-1"];
/** What makes the key of an authority and its signature, with `openssl req -x509`. */
const kinds: string[][] = [
  ["rsa:2048", "-sha256"],
  ["rsa:2048", "-sha384"],
  ["rsa:2048", "-sha512"],
  // As long a salt as the digest is what TLS allows.
  ...["256", "384", "512"].map((it) => ["rsa:2048", `-sha${it}`, ...pss]),
  ...["256", "384", "512"].map((it) => ["ec", "-pkeyopt", "ec_paramgen_curve:P-256", `-sha${it}`]),
  ...["256", "384"].map((it) => ["ec", "-pkeyopt", "ec_paramgen_curve:P-384", `-sha${it}`]),
  ["ec", "-pkeyopt", "ec_paramgen_curve:P-521", "-sha512"],
  ["ed25519"],
];

openssl.test("MasterClient.post() knows each signature that the runtime knows", async () => {
  using folder = new TemporaryFolder();
  const run = (...args: string[]) => runOpenssl(folder.path, args);
  const read = (name: string) => Deno.readTextFile(`${folder.path}/${name}`);
  await Deno.writeTextFile(`${folder.path}/names`, "subjectAltName=DNS:master.test\n");
  const key = ["-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
  await run("req", "-new", ...key, "-keyout", "key", "-out", "request", "-subj", "/CN=m");
  for (const [kind = "", ...options] of kinds) {
    const ca = ["-x509", "-nodes", "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=ca"];
    await run("req", "-newkey", kind, ...options, ...ca);
    const signature = options.filter((it) => /^-s|^rsa_/.test(it));
    const sign = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names"];
    await run("x509", "-req", "-in", "request", ...sign, ...signature, "-out", "crt");
    const shown = { certificatePem: await read("crt"), keyPem: await read("key") };
    assert.equal(await postTo(shown, await read("ca.crt")), "204", `${kind} ${options}`);
  }
});

Deno.test("MasterClient.post() finds the way through a chain that has several", async () => {
  const authorityOf = (name: string, options: object) =>
    makeCertificate({ subject: commonNames([name]), extensions: [isAuthority], ...options });
  const elsewhere = authorityOf("elsewhere", {});
  const { publicKey, privateKey, ...middle } = authorityOf("middle", { signer: elsewhere });
  const keys = { publicKey, privateKey };
  const expired = authorityOf("middle", { keys, signer: root, to: -60_000 });
  const right = authorityOf("middle", { keys, signer: root });
  const own = makeCertificate({ subject, extensions: [names], signer: right });
  const pems = [middle, expired, right].map((it) => it.certificatePem);
  assert.equal(await postTo(withChain(own, ...pems)), "204");
  assert.equal(await postTo(withChain(own, ...pems.toReversed(), root.certificatePem)), "204");
  assert.match(await postTo(withChain(own, pems[0]!)), foreign);
  assert.match(await postTo(withChain(own, pems[0]!, pems[1]!)), /issuer "middle" has expired/);
});

Deno.test("findFault() calculates only with keys that an authority has signed", () => {
  const { publicKey, privateKey } = impostor;
  const signing = () => makeCertificate({ ...impostor, keys: { publicKey, privateKey } });
  const all = Array.from({ length: longestChain }, signing);
  const chain = all.map((it) => new crypto.X509Certificate(it.certificatePem));
  let verified = 0;
  const { verify } = crypto;
  const counting = (...input: Parameters<typeof crypto.verify>) => {
    verified++;
    return verify(...input);
  };
  const reasonUnder = (authorities: readonly crypto.X509Certificate[]) => {
    const check = { authorities, purpose: "server", now: Date.now() } as const;
    crypto.verify = counting as typeof crypto.verify;
    try {
      return findFault(chain as unknown as Chain, check)?.reason;
    } finally {
      crypto.verify = verify;
    }
  };
  assert.equal(reasonUnder([]), "foreign-authority");
  assert.equal(verified, 0);
  // The right name with another key: each is tried once, also when ca.crt is parsed again.
  for (const _ of [1, 2]) {
    const named = new crypto.X509Certificate(root.certificatePem);
    assert.equal(reasonUnder([named]), "foreign-authority");
    assert.ok(verified > 0 && verified <= longestChain, String(verified));
  }
});
