import assert from "node:assert/strict";
import {
  authority,
  certificatesOf,
  rogueAuthority,
  startMaster,
  TestClient,
} from "./master_setup.ts";
import type { TlsMaster } from "./tls_master.ts";

Deno.test("MasterClient.post() uses one connection for many beats", async () => {
  await using master = await startMaster();
  using client = await TestClient.to(master);
  for (let beat = 0; beat < 5; beat++) assert.equal((await client.post()).status, 204);
  assert.equal(master.beatCount, 5);
  assert.equal(master.connectionCount, 1);
});

Deno.test("MasterClient.post() keeps the connection over an answer with a body and a single refusal", async () => {
  await using master = await startMaster();
  using client = await TestClient.to(master);
  for (const status of [200, 500, 204, 403, 204]) {
    master.answer = { status, ...(status !== 204 && { body: "x".repeat(10_000) }) };
    assert.equal((await client.post()).status, status);
  }
  assert.equal(master.connectionCount, 1);
});

Deno.test("MasterClient.post() connects anew after each two failures in a row", async () => {
  await using master = await startMaster();
  using client = await TestClient.to(master);
  const connections: number[] = [];
  for (const status of [204, 500, 403, 500, 500, 500, 204, 500, 204, 500]) {
    master.answer = { status };
    await client.post();
    connections.push(master.connectionCount);
  }
  assert.deepEqual(connections, [1, 1, 1, 2, 2, 3, 3, 3, 3, 3]);
});

Deno.test("MasterClient.post() leaves no connection behind when it connects anew", async () => {
  await using master = await startMaster();
  using client = await TestClient.to(master);
  master.answer = [{ status: 500 }, { status: 500 }, { kind: "reset" }];
  await client.post();
  await client.post();
  await assert.rejects(client.post());
  await client.post();
  assert.equal(master.connectionCount, 3);
  assert.equal(await openConnectionsOf(master), 1);
});

/** How many are open, when there is more than one: as soon as the master has learned of the rest. */
async function openConnectionsOf(master: TlsMaster): Promise<number> {
  for (let times = 0; master.openConnections > 1 && times < 500; times++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return master.openConnections;
}

Deno.test("MasterClient.post() does not fail when the master has dropped the idle connection", async () => {
  const first = await startMaster();
  const { port } = first;
  using client = await TestClient.to(first);
  await client.post();
  await first.stop();
  // With a pause the client may have noticed already, without one it may not: both are common.
  for (const pauseMs of [0, 0, 50, 0, 50]) {
    await using master = await startMaster({ port });
    if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
    assert.equal((await client.post()).status, 204);
    assert.equal((await client.post()).status, 204);
    assert.equal(master.beatCount, 2);
    assert.equal(master.connectionCount, 1);
  }
});

Deno.test("MasterClient.post() trusts a restarted master no more than a new one", async () => {
  const first = await startMaster();
  const { port } = first;
  using client = await TestClient.to(first);
  try {
    assert.equal((await client.post()).status, 204);
  } finally {
    await first.stop();
  }
  for (
    const setup of [
      { port, issuer: rogueAuthority },
      { port, certificate: { dnsNames: ["other.test"] } },
    ]
  ) {
    await using rogue = await startMaster(setup);
    await assert.rejects(client.post());
    assert.equal(rogue.beatCount, 0);
  }
});

Deno.test("MasterClient.post() fails while nobody listens, and delivers when the master is back", async () => {
  const first = await startMaster();
  const { port } = first;
  using client = await TestClient.to(first);
  await client.post();
  await first.stop();
  for (let times = 0; times < 3; times++) await assert.rejects(client.post(), /nobody listens/);
  await using second = await startMaster({ port });
  assert.equal((await client.post()).status, 204);
  assert.equal(second.connectionCount, 1);
});

Deno.test("MasterClient.post() shows a new certificate on a new connection", async () => {
  await using master = await startMaster();
  using client = await TestClient.to(master);
  const [old, renewed] = [await certificatesOf("old"), await certificatesOf("renewed")];
  for (const certificates of [old, old, renewed, renewed]) await client.post({ certificates });
  assert.deepEqual(
    master.beats.map(({ clientCommonName }) => clientCommonName),
    ["old", "old", "renewed", "renewed"],
  );
  assert.equal(master.connectionCount, 2);
  assert.equal(await openConnectionsOf(master), 1);
});

Deno.test("MasterClient.post() judges the master by a new ca.crt at once", async () => {
  await using master = await startMaster();
  using client = await TestClient.to(master);
  const certificates = await certificatesOf("worker-1");
  await client.post({ certificates });
  const distrust = { ...certificates, authority: rogueAuthority.certificatePem };
  await assert.rejects(client.post({ certificates: distrust }), /not signed by ca\.crt/);
  const both = { ...certificates, authority: distrust.authority + authority.certificatePem };
  assert.equal((await client.post({ certificates: both })).status, 204);
  assert.equal(master.beatCount, 2);
});
