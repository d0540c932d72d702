import assert from "node:assert/strict";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import {
  authority,
  certificatesOf,
  rogueAuthority,
  startMaster,
  TestClient,
} from "./master_setup.ts";

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
  // What the client has closed, the master learns a moment later.
  while (master.openConnections > 1) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(master.connectionCount, 3);
});

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

Deno.test("MasterClient.post() keeps to its time when it has to send a beat again", async () => {
  const { certificatePem: cert, keyPem: key } = await authority.issue({
    commonName: "the master",
    dnsNames: ["master.test"],
  });
  let beats = 0;
  const server = createServer({ cert, key }, ({ socket }, response) => {
    if (++beats === 1) response.writeHead(204).end();
    // The kept connection breaks late in the time that the second beat has.
    if (beats === 2) setTimeout(() => socket.destroy(), 1_000);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  using client = await TestClient.to(server.address() as AddressInfo);
  await client.post();
  const startedAt = performance.now();
  await assert.rejects(client.post({ timeoutMs: 1_500 }), /: no answer within 1\.5 s$/);
  assert.ok(performance.now() - startedAt < 2_400);
  assert.equal(beats, 3);
  await new Promise((resolve) => server.close(resolve));
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
