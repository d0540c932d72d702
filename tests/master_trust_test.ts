import assert from "node:assert/strict";
import { MasterClient } from "../master/mod.ts";
import {
  authority,
  certificatesOf,
  type MasterSetup,
  rogueAuthority,
  startMaster,
  TestClient,
} from "./master_setup.ts";
import { TlsMaster } from "./tls_master.ts";

const hourMs = 3_600_000;
const fromNow = (hours: number) => new Date(Date.now() + hours * hourMs);

const trusted: [what: string, setup: MasterSetup][] = [
  ["a master that bears the name of master-name, which is not its host", {}],
  ["a master that is called by its address", { address: { name: "127.0.0.1" } }],
  [
    "a master that is called by its host name",
    { certificate: { dnsNames: ["localhost"] }, address: { host: "localhost", name: "localhost" } },
  ],
  ["a name in other letters, with the dot of the root", { address: { name: "MASTER.Test." } }],
  [
    "a master that is called by its IPv6 address",
    { certificate: { ipAddresses: ["::1"] }, address: { name: "::1" } },
  ],
  [
    "a name under a wildcard",
    { certificate: { dnsNames: ["*.master.test"] }, address: { name: "one.master.test" } },
  ],
];

for (const [what, setup] of trusted) {
  Deno.test(`MasterClient.post() delivers to ${what}`, async () => {
    await using master = await startMaster(setup);
    using client = await TestClient.to(master, setup.address);
    const { status } = await client.post({ body: '{"host_uuid":"é😀"}' });
    assert.equal(status, 204);
    assert.deepEqual(
      master.beats.map(({ body, clientCommonName }) => ({ body, clientCommonName })),
      [
        { body: { host_uuid: "é😀" }, clientCommonName: "worker-1" },
      ],
    );
  });
}

const notSigned = new RegExp(
  ': its certificate is not signed by ca\\.crt: it bears the name "the master", and as its issuer ' +
    '"test authority"; ca\\.crt must hold the certificate of the master\'s authority$',
);
const time = "\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ";
const invalid = (what: string, advice: string) =>
  new RegExp(
    `: its certificate ${what}: it is valid from ${time} to ${time}, and this host's clock says ` +
      `${time}; ${advice}$`,
  );
const wrongName = (name: string, borne: string) =>
  new RegExp(
    `: its certificate does not bear the name ${name}, but ${borne}; master-name tells the name$`,
  );
const both = "DNS:master\\.test, IP Address:127\\.0\\.0\\.1";
const refused: [what: string, setup: MasterSetup, message: RegExp][] = [
  ["of another name", { address: { name: "other.test" } }, wrongName("other\\.test", both)],
  ["of another address", { address: { name: "127.0.0.2" } }, wrongName("127\\.0\\.0\\.2", both)],
  [
    "whose name is only its address",
    { certificate: { dnsNames: [] } },
    wrongName("master\\.test", "IP Address:127\\.0\\.0\\.1"),
  ],
  ["whose address is only its name", {
    certificate: { ipAddresses: [] },
    address: { name: "127.0.0.1" },
  }, wrongName("127\\.0\\.0\\.1", "DNS:master\\.test")],
  ["whose address is written as a name", {
    certificate: { dnsNames: ["127.0.0.1"], ipAddresses: [] },
    address: { name: "127.0.0.1" },
  }, wrongName("127\\.0\\.0\\.1", "DNS:127\\.0\\.0\\.1")],
  ["that has only a common name, and another", {
    certificate: { commonName: "other.test", dnsNames: [], ipAddresses: [] },
  }, wrongName("master\\.test", "CN:other\\.test")],
  [
    "whose name lies below the one expected",
    { address: { name: "test" } },
    wrongName("test", both),
  ],
  ["of another authority with the same name", { issuer: rogueAuthority }, notSigned],
  [
    "whose certificate has expired",
    { certificate: { notBefore: fromNow(-3), notAfter: fromNow(-1) } },
    invalid("has expired", "renew it, or set the clock that is wrong"),
  ],
  [
    "whose certificate is not valid yet",
    { certificate: { notBefore: fromNow(1), notAfter: fromNow(3) } },
    invalid("is not valid yet", "set the clock that is wrong"),
  ],
  [
    "whose certificate is one of a client",
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
    assert.equal(master.beatCount, 0);
  });
}

Deno.test("MasterClient.post() refuses another certificate than the pinned one, and sends it nothing", async () => {
  const server = { commonName: "master", dnsNames: ["master.test"] };
  const [pinned, other] = [await authority.issue(server), await authority.issue(server)];
  const { fingerprint } = pinned;
  {
    await using master = await TlsMaster.start({ authority, certificate: pinned });
    using client = await TestClient.to(master, { fingerprint });
    assert.equal((await client.post()).status, 204);
  }
  await using master = await TlsMaster.start({ authority, certificate: other });
  using client = await TestClient.to(master, { fingerprint });
  await assert.rejects(
    client.post(),
    new RegExp(`not the pinned one, but has the fingerprint ${other.fingerprint}; `),
  );
  assert.equal(master.beatCount, 0);
});

Deno.test("MasterClient.post() wants the right name of the pinned certificate, too", async () => {
  const certificate = await authority.issue({ commonName: "m", dnsNames: ["other.test"] });
  await using master = await TlsMaster.start({ authority, certificate });
  using client = await TestClient.to(master, { fingerprint: certificate.fingerprint });
  await assert.rejects(client.post(), wrongName("master\\.test", "DNS:other\\.test"));
  assert.equal(master.beatCount, 0);
});

Deno.test("MasterClient.post() trusts nobody, rather than the public authorities, without ca.crt", async () => {
  await using master = await startMaster();
  using client = await TestClient.to(master);
  const certificates = { ...await certificatesOf("worker-1"), authority: "" };
  await assert.rejects(client.post({ certificates }), /not signed by ca\.crt/);
  assert.equal(master.beatCount, 0);
});

Deno.test("MasterClient.post() says that a master may not accept worker.crt", async () => {
  await using master = await startMaster();
  using client = await TestClient.to(master);
  const certificates = await certificatesOf("worker-1", rogueAuthority);
  await assert.rejects(
    client.post({ certificates }),
    /: it closed the connection before it answered; it may not accept worker\.crt$/,
  );
  assert.equal(master.beatCount, 0);
});

Deno.test("MasterClient.post() says that nobody listens, and that a name cannot be resolved", async () => {
  const { port } = await startMaster().then(async (master) => {
    const { port } = master;
    await master.stop();
    return { port };
  });
  using closed = await TestClient.to({ port });
  await assert.rejects(closed.post(), {
    message:
      `Cannot reach the master at 127.0.0.1:${port}: nobody listens there; start it, or see swarmctl-port`,
  });
  using unknown = await TestClient.to({ port }, { host: "decnet-agent-test.invalid" });
  await assert.rejects(unknown.post(), {
    message: `Cannot reach the master at decnet-agent-test.invalid:${port}: ` +
      "its name cannot be resolved; see master-host, and this host's name servers",
  });
});

Deno.test("MasterClient.create() connects to nothing", async () => {
  await using master = await startMaster();
  const address = { host: "127.0.0.1", port: master.port, name: "master.test", fingerprint: null };
  const client = await MasterClient.create(address, "decnet-agent/test");
  client.close();
  assert.equal(master.connectionCount, 0);
});
