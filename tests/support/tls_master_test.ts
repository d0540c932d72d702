import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { request, type RequestOptions } from "node:https";
import { createAuthority, type IssuedCertificate } from "./certificates.ts";
import { listenPlainTcp } from "./environment.ts";
import { TlsMaster } from "./tls_master.ts";

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

interface Reply {
  status: number;
  headers: IncomingMessage["headers"];
  text: string;
}

/** Sends one beat on a connection of its own; throws what the connection throws. */
function post(
  master: { port: number },
  body = "{}",
  options: RequestOptions & { client?: IssuedCertificate | undefined } = {},
): Promise<Reply> {
  const { client = "client" in options ? undefined : worker, ...rest } = options;
  return new Promise((resolve, reject) => {
    const outgoing = request({
      host: "127.0.0.1",
      port: master.port,
      method: "POST",
      path: "/swarm/heartbeat",
      headers: { "content-type": "application/json" },
      ca: authority.certificatePem,
      ...(client ? { cert: client.certificatePem, key: client.keyPem } : {}),
      agent: false,
      ...rest,
    }, async (response) => {
      try {
        let text = "";
        for await (const part of response) text += part;
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text,
        });
      } catch (error) {
        reject(error);
      }
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

Deno.test("TlsMaster records a beat with the client's name and answers 204", async () => {
  await using master = await TlsMaster.start({ authority, certificate });
  const next = master.nextHeartbeat();
  const reply = await post(master, '{"host_uuid":"h"}');
  assert.equal(reply.status, 204);
  const heartbeat = await next;
  assert.deepEqual(heartbeat.body, { host_uuid: "h" });
  assert.equal(heartbeat.clientCommonName, "worker-1");
  assert.deepEqual(master.heartbeats, [heartbeat]);
  assert.equal(master.connectionCount, 1);
});

Deno.test("TlsMaster refuses a client without a certificate of its authority", async () => {
  await using master = await TlsMaster.start({ authority, certificate });
  const rogue = await rogueAuthority.issue({
    commonName: "worker-1",
    usage: "client",
  });
  const expired = await authority.issue({
    commonName: "worker-1",
    notAfter: new Date(Date.now() - 60_000),
  });
  await assert.rejects(post(master, "{}", { client: undefined }));
  await assert.rejects(post(master, "{}", { client: rogue }));
  await assert.rejects(post(master, "{}", { client: expired }));
  assert.equal(master.heartbeatCount, 0);
  assert.equal((await post(master)).status, 204);
});

Deno.test("TlsMaster is refused by a client that trusts another authority", async () => {
  await using master = await TlsMaster.start({ authority, certificate });
  await assert.rejects(
    post(master, "{}", { ca: rogueAuthority.certificatePem }),
  );
  assert.equal(master.heartbeatCount, 0);
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
  master.answer = [{
    status: 503,
    headers: { "retry-after": "7" },
    body: "busy",
  }];
  const busy = await post(master);
  assert.deepEqual([busy.status, busy.headers["retry-after"], busy.text], [
    503,
    "7",
    "busy",
  ]);
  assert.equal((await post(master)).status, 204);
  master.answer = (heartbeatNumber) => ({ status: 200 + heartbeatNumber });
  assert.equal((await post(master)).status, 203);
});

for (const kind of ["hang", "half-open"] as const) {
  Deno.test(`TlsMaster takes a beat and says nothing (${kind})`, async () => {
    await using master = await TlsMaster.start({ authority, certificate });
    master.answer = { kind };
    const signal = AbortSignal.timeout(300);
    await assert.rejects(post(master, "{}", { signal }), { code: "ABORT_ERR" });
    assert.equal(master.heartbeatCount, 1);
  });
}

Deno.test("TlsMaster drips an endless body", async () => {
  await using master = await TlsMaster.start({ authority, certificate });
  master.answer = { kind: "drip", bytesPerSecond: 50 };
  await assert.rejects(
    post(master, "{}", { signal: AbortSignal.timeout(300) }),
  );
  assert.equal(master.heartbeatCount, 1);
});

Deno.test("TlsMaster sends a huge body of the length it was told", async () => {
  await using master = await TlsMaster.start({ authority, certificate });
  master.answer = { kind: "huge", bytes: 3_000_001 };
  const reply = await post(master);
  assert.equal(reply.text.length, 3_000_001);
  assert.equal(typeof JSON.parse(reply.text), "string");
});

Deno.test("TlsMaster resets the connection", async () => {
  await using master = await TlsMaster.start({ authority, certificate });
  master.answer = { kind: "reset" };
  await assert.rejects(post(master));
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

Deno.test("TlsMaster.nextBeat() gives up after its timeout", async () => {
  await using master = await TlsMaster.start({ authority, certificate });
  await assert.rejects(master.nextHeartbeat(20), /No beat within 20 ms/);
});

Deno.test("listenPlainTcp() accepts and never speaks TLS", async () => {
  using silent = listenPlainTcp();
  await assert.rejects(
    post(silent, "{}", { signal: AbortSignal.timeout(200) }),
  );
});
