import assert from "node:assert/strict";
import { CertificateFolder } from "../master/certificates.ts";
import { agentIdentity, ApiSetup } from "../tests/support/api_setup.ts";
import { writeAgentDirectory } from "../tests/support/certificates.ts";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { authority, rogueAuthority } from "../tests/support/master_setup.ts";
import { OpensslAuthority } from "../tests/support/openssl.ts";
import { openssl } from "../tests/support/requirements.ts";

const getHealth = "GET /health HTTP/1.1\r\nHost: agent\r\n\r\n";
const options = { reloadIntervalMs: 10 };

Deno.test("the API uses new certificates under load without losing a call", async () => {
  await using api = await ApiSetup.start(options);
  using kept = await api.talk();
  kept.send(getHealth);
  await kept.receive("ok");
  const names = new Set<string>();
  let isOver = false;
  const load = async () => {
    while (!isOver) {
      const { status, serverName } = await api.call("/topology/state");
      assert.equal(status, 200);
      names.add(serverName);
    }
  };
  const loads = [load(), load(), load()];
  while (!names.has("the agent")) await api.call("/health");
  for (const name of ["first", "second", "third"]) {
    const certificates = await agentIdentity(name);
    api.loaded = { certificates, problem: null };
    await api.isUsed(certificates);
    while (!names.has(name)) await api.call("/health");
  }
  isOver = true;
  await Promise.all(loads);
  assert.deepEqual([...names], ["the agent", "first", "second", "third"]);
  // The connection from before is still open.
  kept.send("GET /topology/state HTTP/1.1\r\nHost: agent\r\n\r\n");
  await kept.receive("topology_id");
  // A client without a certificate is still refused.
  using stranger = await api.talk({ authority: authority.certificatePem });
  stranger.send(getHealth);
  assert.equal(await stranger.end(), "");
  assert.deepEqual(api.log, []);
});

Deno.test("the API closes connections that a new ca.crt does not verify", async () => {
  await using api = await ApiSetup.start(options);
  using kept = await api.talk();
  kept.send(getHealth);
  await kept.receive("ok");
  const certificates = await agentIdentity("the agent", rogueAuthority);
  api.loaded = { certificates, problem: null };
  await kept.end();
  await api.isUsed(certificates);
  using client = await api.talk();
  client.send(getHealth);
  assert.equal(await client.end(), "");
  const { certificatePem, keyPem } = await rogueAuthority.issue({ commonName: "decnet-master" });
  const other = { ...certificates, certificate: certificatePem, key: keyPem };
  assert.equal((await api.callAs(other, "/health")).status, 200);
});

Deno.test("the API keeps its certificates when new ones are broken, logs once", async () => {
  await using api = await ApiSetup.start(options);
  const { certificates } = api.loaded;
  let looks = 0;
  const watch = (loaded: typeof api.loaded) => ({
    get certificates() {
      looks++;
      return loaded.certificates;
    },
    problem: loaded.problem,
  });
  const seen = async (loaded: typeof api.loaded) => {
    looks = 0;
    api.loaded = watch(loaded);
    while (looks < 5) assert.equal((await api.call("/health")).serverName, "the agent");
  };
  const said = "warn the API keeps its current certificates: ";
  const problem = "Cannot use ca.crt: no such file";
  // Fixed and broken again: logged again.
  for (let times = 0; times < 2; times++) {
    await seen({ certificates, problem });
    assert.deepEqual(api.log.splice(0), [said + problem]);
    await seen({ certificates, problem: null });
    assert.deepEqual(api.log, []);
  }
});

openssl.test("the API stays with its key when TLS does not accept a new one", async () => {
  using folder = new TemporaryFolder();
  const { path } = folder;
  const names = { dnsNames: ["localhost"], ipAddresses: ["127.0.0.1"] };
  const first = await authority.issue({ commonName: "first", ...names });
  await writeAgentDirectory(path, authority, first);
  const certificates = new CertificateFolder(path);
  await using api = await ApiSetup.start({ ...options, certificates });
  using weak = await OpensslAuthority.create();
  for (
    const [kind, ...key] of [["RSA-PSS", "-algorithm", "RSA-PSS"], ["ED448", "-algorithm", "ED448"]]
  ) {
    await writeAgentDirectory(path, authority, { ...await weak.issue({ key }), fingerprint: "" });
    while (!api.log.some((line) => line.includes(`a key of ${kind}`))) await api.call("/health");
    assert.equal((await api.call("/health")).serverName, "first");
  }
  const second = await authority.issue({ commonName: "second", ...names });
  await writeAgentDirectory(path, authority, second);
  while ((await api.call("/health")).serverName !== "second");
  const refused =
    `warn the API keeps its current certificates: Cannot use ${path}/worker.key: TLS `;
  assert.ok(api.log.filter((line) => line.startsWith(refused)).length >= 2, api.log.join("\n"));
});

openssl.test("ApiServer.start() refuses a key that TLS does not accept", async () => {
  using folder = new TemporaryFolder();
  using weak = await OpensslAuthority.create();
  const key = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"];
  await writeAgentDirectory(folder.path, weak, { ...await weak.issue({ key }), fingerprint: "" });
  const certificates = new CertificateFolder(folder.path);
  await assert.rejects(
    ApiSetup.start({ certificates }),
    /worker\.key: TLS does not accept a key of EC secp256k1; request worker\.crt and worker\.key again/,
  );
});
