import assert from "node:assert/strict";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { createAuthority, writeAgentDirectory } from "./certificates.ts";
import { TemporaryFolder } from "./environment.ts";

Deno.test("createAuthority() issues certificates with signature and names", async () => {
  const authority = await createAuthority("test authority");
  const issued = await authority.issue({
    commonName: "decnet-master",
    dnsNames: ["master.test"],
    ipAddresses: ["127.0.0.1", "::1"],
  });
  const root = new X509Certificate(authority.certificatePem);
  const leaf = new X509Certificate(issued.certificatePem);

  assert.equal(root.ca, true);
  assert.equal(leaf.ca, false);
  assert.equal(leaf.verify(root.publicKey), true);
  assert.equal(leaf.issuer, root.subject);
  assert.match(leaf.subject, /CN=decnet-master/);
  assert.match(leaf.subjectAltName ?? "", /DNS:master\.test.*127\.0\.0\.1/);
  assert.equal(
    leaf.fingerprint256.replaceAll(":", "").toLowerCase(),
    issued.fingerprint,
  );
  assert.equal(createPrivateKey(issued.keyPem).asymmetricKeyType, "ec");
  assert.match(issued.keyPem, /^-----BEGIN PRIVATE KEY-----/);
});

Deno.test("createAuthority() issues for the validity that was asked for", async () => {
  const authority = await createAuthority("test authority");
  const notBefore = new Date("2020-01-01T00:00:00Z");
  const notAfter = new Date("2020-02-01T00:00:00Z");
  const expired = await authority.issue({ commonName: "old", notBefore, notAfter });
  const usual = await authority.issue({ commonName: "new" });

  const old = new X509Certificate(expired.certificatePem);
  assert.equal(Date.parse(old.validFrom), notBefore.getTime());
  assert.equal(Date.parse(old.validTo), notAfter.getTime());
  const lifetime = Date.parse(new X509Certificate(usual.certificatePem).validTo) - Date.now();
  assert.ok(lifetime > 364 * 86_400_000 && lifetime < 366 * 86_400_000);
});

Deno.test("writeAgentDirectory() keeps the key from other users", async () => {
  const authority = await createAuthority("test authority");
  const worker = await authority.issue({ commonName: "worker", usage: "client" });
  using folder = new TemporaryFolder();
  const { path } = folder;
  await writeAgentDirectory(path, authority, worker);
  const key = await Deno.stat(`${path}/worker.key`);
  assert.equal((key.mode ?? 0) & 0o777, 0o600);
  assert.equal(await Deno.readTextFile(`${path}/ca.crt`), authority.certificatePem);
  assert.equal(await Deno.readTextFile(`${path}/worker.crt`), worker.certificatePem);
});
