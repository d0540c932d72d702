import assert from "node:assert/strict";
import { writeAgentDirectory } from "../tests/support/certificates.ts";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { TestClient } from "../tests/support/master_setup.ts";
import { keyKinds, OpensslAuthority, runOpenssl } from "../tests/support/openssl.ts";
import { openssl } from "../tests/support/requirements.ts";
import { TlsMaster } from "../tests/support/tls_master.ts";
import { type CertificateError, CertificateFolder } from "./certificates.ts";

type Files = Awaited<ReturnType<OpensslAuthority["issue"]>>;

/** Reads certificates as the agent does. Throws `CertificateError`. */
async function load(
  authority: Pick<OpensslAuthority, "certificatePem">,
  files: Files,
): Promise<Awaited<ReturnType<CertificateFolder["load"]>>> {
  using folder = new TemporaryFolder();
  await writeAgentDirectory(folder.path, authority, { ...files, fingerprint: "" });
  return await new CertificateFolder(folder.path).load();
}

const curve = (name: string) => ["-algorithm", "EC", "-pkeyopt", `ec_paramgen_curve:${name}`];
const bits = (count: number) => ["-algorithm", "RSA", "-pkeyopt", `rsa_keygen_bits:${count}`];

const accepted = [
  ...["P-256", "P-384", "P-521"].map(curve),
  ...[2048, 2049, 3072].map(bits),
  ["-algorithm", "ED25519"],
  ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-pkeyopt", "rsa_keygen_pubexp:3"],
];

openssl.test("CertificateFolder.load() takes each key that TLS accepts", async () => {
  using authority = await OpensslAuthority.create();
  const certificate = { ...await authority.issue(), fingerprint: "" };
  await using master = await TlsMaster.start({ authority, certificate });
  for (const key of accepted) {
    const { certificates } = await load(authority, await authority.issue({ key }));
    using client = await TestClient.to(master);
    assert.equal((await client.post({ certificates })).status, 204, key.join(" "));
  }
});

const refused: [key: readonly string[], kind: string | null][] = [
  [["-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048"], "RSA-PSS"],
  [["-algorithm", "ED448"], "ED448"],
  [["-algorithm", "X25519"], "X25519"],
  [["-algorithm", "X448"], "X448"],
  [curve("P-192"), "EC with this curve"],
  [curve("P-224"), "EC P-224"],
  [curve("secp256k1"), "EC secp256k1"],
  [curve("brainpoolP256r1"), "EC with this curve"],
  [[...curve("P-256"), "-pkeyopt", "ec_param_enc:explicit"], "EC with this curve"],
  [["-algorithm", "SM2"], "EC with this curve"],
  [bits(1024), "RSA with 1024 bits"],
  [bits(1536), "RSA with 1536 bits"],
  [bits(2047), "RSA with 2047 bits"],
  // Its certificate is like any other of RSA.
  [[...bits(2048), "-pkeyopt", "rsa_keygen_primes:3"], null],
];

openssl.test("CertificateFolder.load() refuses keys that TLS does not accept", async () => {
  using authority = await OpensslAuthority.create();
  const dsa = ["genpkey", "-genparam", "-algorithm", "DSA", "-pkeyopt", "dsa_paramgen_bits:1024"];
  await runOpenssl(authority.path, [...dsa, "-out", "dsa.parameters"]);
  const cases = [...refused, [["-paramfile", "dsa.parameters"], "DSA"] as const];
  for (const [key, kind] of cases) {
    await assert.rejects(
      load(authority, await authority.issue({ key })),
      ({ reason, message }: CertificateError) => {
        assert.equal(reason, "unusable-key");
        const why = kind === null
          ? "this key; it must be EC P-256, P-384 or P-521, Ed25519, or RSA of 2048 bits or more"
          : `a key of ${kind}; request worker.crt and worker.key again, with keys of EC P-256 ` +
            "for example";
        assert.match(message, /^Cannot use \/\S+\/worker\.key: /);
        assert.ok(message.endsWith(`: TLS does not accept ${why}`), message);
        return true;
      },
    );
  }
});

openssl.test("CertificateFolder.load() refuses authorities that TLS cannot use", async () => {
  using good = await OpensslAuthority.create();
  const files = await good.issue();
  const signing = ["RSA-PSS", "ED448", "EC P-224", "EC secp256k1", "RSA with 1024 bits"];
  for (const [key, kind] of refused.filter(([, it]) => signing.includes(it ?? ""))) {
    using weak = await OpensslAuthority.create({ key });
    await assert.rejects(
      load(weak, files),
      ({ reason, message }: CertificateError) => {
        assert.equal(reason, "unusable-key");
        const what = kind === "RSA-PSS" ? "this kind" : kind;
        assert.match(message, /^Cannot use \/\S+\/ca\.crt: /);
        assert.ok(message.includes(`a key of ${what}; request all certificates again`), message);
        return true;
      },
    );
    // Another authority in the file may be the one that is needed.
    const both = weak.certificatePem + good.certificatePem;
    assert.equal((await load({ certificatePem: both }, files)).problem, null);
  }
});

openssl.test("CertificateFolder.load() takes RSA keys of authorities up to 4096 bits", async () => {
  for (const [count, isAccepted] of [[4096, true], [4104, false]] as const) {
    using authority = await OpensslAuthority.create({ key: bits(count) });
    const loading = load(authority, await authority.issue());
    const refusal = /ca\.crt: TLS does not accept a key of RSA with 4104 bits; /;
    if (isAccepted) assert.equal((await loading).problem, null);
    else await assert.rejects(loading, refusal);
  }
});

openssl.test("CertificateFolder.load() refuses a worker.crt with a weak signature", async () => {
  for (const key of [keyKinds.p256, keyKinds.rsa]) {
    // An authority's signature of itself is not verified.
    using authority = await OpensslAuthority.create({ key, hash: "sha1" });
    assert.equal((await load(authority, await authority.issue())).problem, null);
    await assert.rejects(load(authority, await authority.issue({ hash: "sha1" })), {
      reason: "weak-signature",
      message:
        /\/worker\.crt: it is signed with SHA-1, which TLS does not accept; request a new one from the master$/,
    });
  }
});

openssl.test("CertificateFolder.load() takes each form of a PEM file", async () => {
  using authority = await OpensslAuthority.create();
  const certificate = { ...await authority.issue(), fingerprint: "" };
  await using master = await TlsMaster.start({ authority, certificate });
  for (const key of [keyKinds.p256, keyKinds.rsa]) {
    const files = await authority.issue({ key });
    const traditional = key === keyKinds.rsa ? ["rsa", "-traditional"] : ["ec"];
    const old = await runOpenssl(authority.path, [...traditional, "-in", "own.key"]);
    assert.match(old, key === keyKinds.rsa ? /BEGIN RSA PRIVATE/ : /BEGIN EC PRIVATE/);
    for (const pem of [files.keyPem, old]) {
      const parameters =
        "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
      const forms: ((text: string) => string)[] = [
        (text) => `${text}\n`,
        (text) => `\n\n${text}\n\n`,
        (text) => text.replaceAll("\n", "\n\n"),
        (text) => text.replaceAll("\n", "\r\n"),
        (text) => text.replaceAll("\n", " \t\r\n \n"),
        (text) => `# not ENCRYPTED\nBag Attributes\n    friendlyName: host\n${text}# the end`,
        (text) => `\ufeff${text}`,
        (text) => text.trimEnd(),
        (text) => parameters + text,
        (text) => `${files.certificatePem}${text}${files.certificatePem}`,
      ];
      for (const form of forms) {
        const certificatePem = form(files.certificatePem);
        const changed = { certificatePem: form(authority.certificatePem) };
        const { certificates } = await load(changed, { certificatePem, keyPem: form(pem) });
        using client = await TestClient.to(master);
        assert.equal(
          (await client.post({ certificates })).status,
          204,
          JSON.stringify(form("…\n")),
        );
      }
    }
  }
});
