import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { request, type RequestOptions } from "node:https";
import { createAuthority, type IssuedCertificate } from "./certificates.ts";
import { type MasterAnswer, TlsMaster } from "./tls_master.ts";

const authority = await createAuthority("test authority");
const rogueAuthority = await createAuthority("test authority");
const certificate = await authority.issue({
  commonName: "decnet-master",
  dnsNames: ["localhost"],
  ipAddresses: ["127.0.0.1"],
  usage: "server",
});
const worker = await authority.issue({
  commonName: "worker-1",
  usage: "client",
});

/** Sends one heartbeat on a connection of its own; throws what the connection throws. */
function post(
  { port }: { port: number },
  body = "{}",
  { client = worker, ...rest }: RequestOptions & { client?: IssuedCertificate | null } = {},
): Promise<{ status: number; headers: IncomingMessage["headers"]; text: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<Awaited<ReturnType<typeof post>>>();
  const outgoing = request({
    host: "127.0.0.1",
    port,
    method: "POST",
    path: "/swarm/heartbeat",
    headers: { "content-type": "application/json" },
    ca: authority.certificatePem,
    ...(client && { cert: client.certificatePem, key: client.keyPem }),
    agent: false,
    ...rest,
  }, (response) => {
    let text = "";
    response.on("data", (part) => text += part).on("error", reject);
    response.on("end", () => {
      resolve({ status: response.statusCode ?? 0, headers: response.headers, text });
    });
  });
  outgoing.on("error", reject).end(body);
  return promise;
}

Deno.test("TlsMaster records a heartbeat with the client's name and answers 204", async () => {
  await using master = await TlsMaster.start({ authority, certificate });
  const next = master.nextHeartbeat();
  const reply = await post(master, '{"host_uuid":"h"}');
  assert.equal(reply.status, 204);
  const heartbeat = await next;
  assert.deepEqual(heartbeat.body, { host_uuid: "h" });
  assert.equal(heartbeat.clientCommonName, "worker-1");
  assert.deepEqual(master.heartbeats, [heartbeat]);
  assert.deepEqual([master.tcpConnectionCount, master.connectionCount], [1, 1]);
  assert.equal(master.certificateCount, 1);
  assert.ok(master.receivedBytes > 0);
});

Deno.test("TlsMaster refuses a client without a certificate of its authority", async () => {
  await using master = await TlsMaster.start({ authority, certificate });
  const rogue = await rogueAuthority.issue({ commonName: "worker-1", usage: "client" });
  const expired = await authority.issue({
    commonName: "worker-1",
    notAfter: new Date(Date.now() - 60_000),
  });
  await assert.rejects(post(master, "{}", { client: null }));
  await assert.rejects(post(master, "{}", { client: rogue }));
  await assert.rejects(post(master, "{}", { client: expired }));
  assert.equal(master.heartbeatCount, 0);
  assert.equal((await post(master)).status, 204);
});

Deno.test("TlsMaster answers 404 to another path and 422 to what is not JSON", async () => {
  await using master = await TlsMaster.start({ authority, certificate });
  assert.equal((await post(master, "{}", { path: "/swarm" })).status, 404);
  assert.equal((await post(master, "{}", { method: "PUT" })).status, 404);
  assert.equal((await post(master, "{")).status, 422);
  const headers = { "content-type": "text/plain" };
  assert.equal((await post(master, "{}", { headers })).status, 422);
  assert.equal(master.heartbeatCount, 0);
});

Deno.test("TlsMaster takes its answers from a list, then from a function", async () => {
  await using master = await TlsMaster.start({ authority, certificate });
  master.answer = [{ status: 503, headers: { "retry-after": "7" }, body: "busy" }];
  const { status, headers, text } = await post(master);
  assert.deepEqual([status, headers["retry-after"], text], [503, "7", "busy"]);
  assert.equal((await post(master)).status, 204);
  master.answer = (heartbeatNumber) => ({ status: 200 + heartbeatNumber });
  assert.equal((await post(master)).status, 203);
});

Deno.test("TlsMaster takes a heartbeat and never ends its answer", async () => {
  const answers: MasterAnswer[] = [
    { kind: "hang" },
    { kind: "half-open" },
    { kind: "drip-head" },
    { kind: "drip", bytesPerSecond: 50 },
  ];
  for (const answer of answers) {
    await using master = await TlsMaster.start({ authority, certificate });
    master.answer = answer;
    await assert.rejects(post(master, "{}", { signal: AbortSignal.timeout(300) }));
    assert.equal(master.heartbeatCount, 1);
  }
});

Deno.test("TlsMaster.stop() frees its port for a new start, whatever hangs", async () => {
  const first = await TlsMaster.start({ authority, certificate });
  first.answer = { kind: "half-open" };
  const hanging = assert.rejects(post(first));
  await first.nextHeartbeat();
  const port = first.port;
  await first.stop();
  await hanging;
  await assert.rejects(post({ port }), { code: "ECONNREFUSED" });
  await using second = await TlsMaster.start({ authority, certificate, port });
  assert.equal((await post(second)).status, 204);
});

Deno.test("TlsMaster.nextHeartbeat() gives up after its timeout", async () => {
  await using master = await TlsMaster.start({ authority, certificate });
  await assert.rejects(master.nextHeartbeat(20), /No heartbeat within 20 ms/);
});
