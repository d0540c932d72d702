import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import type { TlsOptions } from "node:tls";
import { assertOvercome, pinned } from "../tests/support/master_faults.ts";
import {
  authority,
  certificatesOf,
  type MasterSetup,
  rogueAuthority,
  startMaster,
  TestClient,
} from "../tests/support/master_setup.ts";
import { serveOpenssl } from "../tests/support/openssl.ts";
import {
  commonNames,
  type MadeCertificate,
  makeCertificate,
} from "../tests/support/raw_certificates.ts";
import { openssl } from "../tests/support/requirements.ts";
import { SwallowingProxy } from "../tests/support/swallowing_proxy.ts";
import { TlsMaster } from "../tests/support/tls_master.ts";
import { diagnoseFailure, trustFailure } from "./trust.ts";

Deno.test("diagnoseFailure() names the clock where it can read no certificate", async () => {
  for (const code of ["CERT_HAS_EXPIRED", "UNABLE_TO_GET_ISSUER_CERT_LOCALLY"]) {
    const { reason, message } = await diagnoseFailure(Object.assign(new Error(), { code }), {
      address: { host: "127.0.0.1", port: 1, name: "m", fingerprint: null },
      authority: authority.certificatePem,
      timeoutMs: 1_000,
      signal: new AbortController().signal,
    });
    assert.equal(reason, "unknown");
    const says = /not signed by ca\.crt, or not valid now, which is \d{4}-\d\d-\d\dT.*Z by/;
    assert.match(message, says);
    assert.ok(message.endsWith(`(${code})`), message);
  }
});

const now = Date.UTC(2026, 10, 22, 10);
/** So many hours from then, as milliseconds from the time that it is. */
const hour = (hours: number) => now + hours * 3_600_000 - Date.now();

interface Link extends MadeCertificate {
  readonly certificate: X509Certificate;
}

/** A certificate that is valid for so many hours from then, self-signed unless given an issuer. */
function link(
  name: string,
  { issuer, from = -1, to = 1 }: { issuer?: Link; from?: number; to?: number } = {},
): Link {
  const [subject, signer] = [commonNames([name]), issuer && { signer: issuer }];
  const made = makeCertificate({ subject, from: hour(from), to: hour(to), ...signer });
  return { ...made, certificate: new X509Certificate(made.certificatePem) };
}

/** What is said of a master that presents this chain to a host that trusts these. */
function explain(chain: [Link, ...Link[]], authorities: Link[], at = now): string {
  const [own, ...others] = chain.map(({ certificate }) => certificate);
  const trusted = authorities.map((it) => it.certificate);
  return trustFailure([own!, ...others], trusted, at)?.message ?? "trusted";
}

const root = link("root");
const twin = link("root");
const middle = link("middle", { issuer: root });
const oldMiddle = link("middle", { issuer: root, from: -9, to: -2 });

const notSigned = (name: string, issuer: string) =>
  `is not signed by ca.crt: it has the name "${name}", and as its issuer "${issuer}"; ca.crt must ` +
  "hold the certificate of the master's authority";
const unfit = "its certificate is signed by ca.crt and valid now, but not fit for a server; " +
  "openssl x509 -text shows its key usage and its constraints";
const clock = "this host's clock says 2026-11-22T10:00:00Z";

Deno.test("trustFailure() says what is wrong with the master's certificate", () => {
  const leaf = link("m", { issuer: root });
  assert.equal(explain([leaf], [root]), "trusted");
  assert.equal(explain([leaf], [twin, root]), "trusted");
  assert.equal(explain([leaf], [twin]), `its certificate ${notSigned("m", "root")}`);
  assert.equal(explain([leaf], []), `its certificate ${notSigned("m", "root")}`);
  assert.equal(explain([leaf, root], [twin]), `its certificate ${notSigned("m", "root")}`);
  assert.equal(explain([root], [twin]), `its certificate ${notSigned("root", "root")}`);
});

Deno.test("M9 a certificate out of its time is reported with validity and clock", () => {
  const old = link("m", { issuer: root, from: -4, to: -2 });
  const expired = "its certificate has expired: it is valid from 2026-11-22T06:00:00Z to " +
    `2026-11-22T08:00:00Z, and ${clock}; renew it, or correct the clock`;
  assert.equal(explain([old], [root]), expired);
  assert.equal(explain([old], [twin]), `${expired}; besides, it ${notSigned("m", "root")}`);
  const early = link("m", { issuer: root, from: 2, to: 4 });
  assert.equal(
    explain([early], [root]),
    "its certificate is not valid yet: it is valid from 2026-11-22T12:00:00Z to " +
      `2026-11-22T14:00:00Z, and ${clock}; correct the clock`,
  );
});

Deno.test("trustFailure() follows the chain that the master presents", () => {
  const leaf = link("m", { issuer: middle });
  // The one in the middle is none of an authority.
  assert.equal(explain([leaf, middle], [root]), unfit);
  assert.equal(explain([leaf, twin, middle, root], [root]), unfit);
  assert.equal(explain([leaf], [root]), `its certificate ${notSigned("m", "middle")}`);
  assert.equal(explain([leaf, middle], [twin]), `its certificate ${notSigned("m", "middle")}`);
  const below = link("m", { issuer: oldMiddle });
  assert.equal(
    explain([below, oldMiddle], [root]),
    'the certificate of its issuer "middle" has expired: it is valid from 2026-11-22T01:00:00Z to ' +
      `2026-11-22T08:00:00Z, and ${clock}; renew it, or correct the clock`,
  );
});

Deno.test("trustFailure() repeats little of a name, and breaks no line with it", () => {
  const text = explain([link(`a\n"b" ${"x".repeat(200)}`)], [root]);
  assert.ok(!text.includes("\n") && text.length < 330, text);
});

/** A controller's certificate has this name, wherever it runs. */
const controller = { dnsNames: ["swarmctl"], ipAddresses: [] };

const trusted: [what: string, setup: MasterSetup][] = [
  ["a master whose name is not its host", {}],
  ["a master called by its address", { address: { name: "127.0.0.1" } }],
  ["the address that is configured", { address: { name: null } }],
  ["a controller at an address", { certificate: controller, address: { name: null } }],
  [
    "a controller with a common name alone",
    {
      certificate: { commonName: "swarmctl", dnsNames: [], ipAddresses: [] },
      address: { name: null },
    },
  ],
];

for (const [what, setup] of trusted) {
  Deno.test(`MasterClient.post() delivers to ${what}`, async () => {
    await using master = await startMaster(setup);
    using client = await TestClient.to(master, setup.address);
    const { status } = await client.post({ body: '{"host_uuid":"é😀"}' });
    assert.equal(status, 204);
    assert.deepEqual(
      master.heartbeats.map(({ body, clientCommonName }) => ({ body, clientCommonName })),
      [{ body: { host_uuid: "é😀" }, clientCommonName: "worker-1" }],
    );
  });
}

const wrongName = (name: string, borne: string) =>
  new RegExp(`: its certificate does not have the name ${name}, but ${borne}; see master-name$`);
/** tests/integration/master_faults_test.ts has another name, authority and time. */
const refused: [what: string, setup: MasterSetup, message: RegExp][] = [
  [
    "with neither its address nor the controller's name",
    { certificate: { ipAddresses: [] }, address: { name: null } },
    wrongName("127\\.0\\.0\\.1 or swarmctl", "DNS:master\\.test"),
  ],
  [
    "with the controller's name where another is configured",
    { certificate: controller },
    wrongName("master\\.test", "DNS:swarmctl"),
  ],
  [
    "with a certificate of a client",
    { certificate: { usage: "client" } },
    /: its certificate is signed by ca\.crt and valid now, but not fit for a server; openssl /,
  ],
];

for (const [what, setup, message] of refused) {
  Deno.test(`MasterClient.post() refuses a master ${what}`, async () => {
    await using master = await startMaster(setup);
    using client = await TestClient.to(master, setup.address);
    // The second time shows that nothing was learned from the first.
    for (let times = 0; times < 2; times++) {
      await assert.rejects(client.post(), (error: Error) => {
        assert.match(error.message, message);
        return error.message.startsWith(`Cannot reach the master at 127.0.0.1:${master.port}: `);
      });
    }
    assert.equal(master.heartbeatCount, 0);
  });
}

Deno.test("MasterClient.post() refuses a worker named like the master by its pin", async () => {
  // No host may be enrolled under these names: without a pin, each of them is the master.
  const { fingerprint } = await authority.issue({ commonName: "swarmctl", dnsNames: ["swarmctl"] });
  for (const named of [["swarmctl"], ["localhost"], ["worker-2", "swarmctl"]]) {
    const enrolled = await authority.issue({ commonName: named[0]!, dnsNames: named });
    await using impostor = await TlsMaster.start({ authority, certificate: enrolled });
    const address = { host: "localhost", name: null };
    using deceived = await TestClient.to(impostor, address);
    assert.equal((await deceived.post()).status, 204);
    using client = await TestClient.to(impostor, { ...address, fingerprint });
    await assert.rejects(client.post(), /not the pinned one/);
    assert.equal(impostor.heartbeatCount, 1);
  }
});

Deno.test("MasterClient.post() checks the name of a pinned certificate", async () => {
  const certificate = await authority.issue({ commonName: "m", dnsNames: ["other.test"] });
  await using master = await TlsMaster.start({ authority, certificate });
  using client = await TestClient.to(master, { fingerprint: certificate.fingerprint });
  await assert.rejects(client.post(), wrongName("master\\.test", "DNS:other\\.test"));
  assert.equal(master.heartbeatCount, 0);
});

openssl.test("M8 a master that speaks TLS 1.1 only: reported and survived", async () => {
  await assertOvercome({
    what: "TLS 1.1",
    strike: async ({ master, setup: { path }, port }) => {
      await master.stop();
      await Deno.writeTextFile(`${path}/old.pem`, pinned.certificatePem + pinned.keyPem);
      const args = ["-cert", "old.pem", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"];
      const server = await serveOpenssl(path, args, port);
      return async () => await server[Symbol.asyncDispose]();
    },
    result: "unreachable",
    says: /Cannot reach the master at 127\.0\.0\.1:\d+: its TLS is older than 1\.2/,
  });
});

const unknown =
  /: its certificate is not signed by ca\.crt, or not valid now, which is \S+Z by this host's clock \(\w+\)$/;

/** Starts a server of another authority. It asks for a client certificate and accepts any or none. */
async function startStranger(tls: TlsOptions = {}): Promise<TlsMaster> {
  const certificate = await rogueAuthority.issue({ commonName: "the master" });
  return await TlsMaster.start({
    authority,
    certificate,
    tls: { rejectUnauthorized: false, ...tls },
  });
}

Deno.test("M12 MasterClient.post() shows nothing to a master it does not trust", async () => {
  await using stranger = await startStranger();
  using client = await TestClient.to(stranger);
  // It learns no trust from what it has seen, either.
  for (let times = 1; times <= 3; times++) {
    await assert.rejects(
      client.post({ body: '{"secret":1}' }),
      /: its certificate is not signed by/,
    );
    assert.equal(stranger.tcpConnectionCount, 2 * times);
  }
  // The last of them may be gone before the stranger's end of the handshake is over.
  assert.ok(stranger.connectionCount > 0);
  assert.deepEqual([stranger.certificateCount, stranger.receivedBytes], [0, 0]);
});

Deno.test("MasterClient.post() asks only untrusted masters for certificates", async () => {
  await using master = await startMaster();
  await using proxy = new SwallowingProxy(master.port);
  using client = await TestClient.to(proxy);
  await client.post();
  master.answer = { kind: "cut", status: 503 };
  await client.post();
  assert.equal(proxy.connectionCount, 1);
  using misnamed = await TestClient.to(proxy, { name: "other.test" });
  await assert.rejects(misnamed.post(), /does not have the name/);
  assert.equal(proxy.connectionCount, 2);
});

Deno.test("M9 MasterClient.post() names the clock if TLS 1.2 hides the peer", async () => {
  await using stranger = await startStranger({ maxVersion: "TLSv1.2", rejectUnauthorized: true });
  using client = await TestClient.to(stranger);
  await assert.rejects(client.post(), unknown);
  assert.equal(stranger.tcpConnectionCount, 2);
  assert.equal(stranger.connectionCount, 0);
});

Deno.test("MasterClient.post() keeps its time while a stranger is silent", async () => {
  await using stranger = await startStranger();
  await using proxy = new SwallowingProxy(stranger.port);
  proxy.isDead = (connection) => connection % 2 === 0;
  using client = await TestClient.to(proxy);
  const startedAt = performance.now();
  await assert.rejects(client.post({ timeoutMs: 1_000 }), unknown);
  assert.ok(performance.now() - startedAt < 1_900);
  const controller = new AbortController();
  const { signal } = controller;
  const rejected = assert.rejects(client.post({ timeoutMs: 60_000, signal }), /: no time is left$/);
  while (proxy.connectionCount < 4) await new Promise((resolve) => setTimeout(resolve, 2));
  const abortedAt = performance.now();
  controller.abort(new Error("no time is left"));
  await rejected;
  assert.ok(performance.now() - abortedAt < 1_500);
});

Deno.test("MasterClient.post() reports an untrusted master without ca.crt", async () => {
  await using stranger = await startStranger();
  using client = await TestClient.to(stranger);
  const certificates = { ...await certificatesOf("worker-1"), authority: "" };
  await assert.rejects(client.post({ certificates }), unknown);
});
