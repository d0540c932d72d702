import assert from "node:assert/strict";
import dns from "node:dns";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { TLSSocket } from "node:tls";
import {
  authority,
  certificatesOf,
  onMaster,
  rogueAuthority,
  startMaster,
  TestClient,
} from "../tests/support/master_setup.ts";
import type { TlsMaster } from "../tests/support/tls_master.ts";
import { MasterClient, parseRetryAfter } from "./client.ts";

const now = Date.parse("2026-11-22T10:00:00Z");

Deno.test("parseRetryAfter() reads seconds and dates, and answers milliseconds", () => {
  const cases: [value: string | null, expected: number | null][] = [
    [null, null],
    ["0", 0],
    ["120", 120_000],
    ["9".repeat(400), Infinity],
    ["Sun, 22 Nov 2026 10:01:30 GMT", 90_000],
    ["Sunday, 22-Nov-26 10:00:05 GMT", 5_000],
    ["Sun, 22 Nov 2026 09:00:00 GMT", 0],
    ["Mon, 01 Jan 1900 00:00:00 GMT", 0],
    ["", null],
    ["-5", null],
    ["1.5", null],
    ["1e3", null],
    ["soon", null],
    ["Sun, 99 Nov 2026 10:01:30 GMT", null],
    ["2026-11-22T10:01:30Z", null],
  ];
  for (const [value, expected] of cases) {
    assert.equal(parseRetryAfter(value, now), expected, String(value));
  }
});

onMaster.test("M3 MasterClient.post() reconnects after two failures", async (master, client) => {
  const connections: number[] = [];
  for (const status of [204, 500, 403, 500, 500, 500, 204, 500, 204, 500]) {
    master.answer = { status };
    await client.post();
    connections.push(master.connectionCount);
  }
  assert.deepEqual(connections, [1, 1, 1, 2, 2, 3, 3, 3, 3, 3]);
  assert.equal(await openConnectionsOf(master), 1);
});

/** How many are open, when there is more than one: as soon as the master has learned of the rest. */
async function openConnectionsOf(master: TlsMaster): Promise<number> {
  for (let times = 0; master.openConnections > 1 && times < 500; times++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return master.openConnections;
}

Deno.test("MasterClient.post() survives a dropped idle connection", async () => {
  const first = await startMaster();
  const { port } = first;
  using client = TestClient.to(first);
  await client.post();
  await first.stop();
  // With a pause the client may have noticed already, without one it may not: both are common.
  for (const pauseMs of [0, 0, 50, 0, 50]) {
    await using master = await startMaster({ port });
    if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
    assert.equal((await client.post()).status, 204);
    assert.equal((await client.post()).status, 204);
    assert.equal(master.heartbeatCount, 2);
    assert.equal(master.connectionCount, 1);
  }
});

Deno.test("MasterClient.post() trusts a restarted master no more than a new one", async () => {
  const first = await startMaster();
  const { port } = first;
  using client = TestClient.to(first);
  try {
    assert.equal((await client.post()).status, 204);
  } finally {
    await first.stop();
  }
  for (const setup of [{ issuer: rogueAuthority }, { certificate: { dnsNames: ["other.test"] } }]) {
    await using rogue = await startMaster({ port, ...setup });
    await assert.rejects(client.post());
    assert.equal(rogue.heartbeatCount, 0);
  }
});

onMaster.test("MasterClient.post() keeps an idle connection alive", async (master, client) => {
  let address = "";
  master["server"].once("secureConnection", ({ remotePort = 0 }: TLSSocket) => {
    address = `0100007F:${remotePort.toString(16).toUpperCase().padStart(4, "0")}`;
  });
  await client.post();
  const timer = Deno.readTextFileSync("/proc/net/tcp").split("\n")
    .map((line) => line.trim().split(/\s+/)).find(([, local]) => local === address)?.[5];
  // The kernel's number for its timer of probes.
  assert.match(`${timer}`, /^02:/);
});

onMaster.test("MasterClient.post() reconnects for a new certificate", async (master, client) => {
  const [old, renewed] = [await certificatesOf("old"), await certificatesOf("renewed")];
  for (const certificates of [old, old, renewed, renewed]) await client.post({ certificates });
  assert.deepEqual(
    master.heartbeats.map(({ clientCommonName }) => clientCommonName),
    ["old", "old", "renewed", "renewed"],
  );
  assert.equal(master.connectionCount, 2);
  assert.equal(await openConnectionsOf(master), 1);
});

onMaster.test("MasterClient.post() uses a new ca.crt at once", async (master, client) => {
  const certificates = await certificatesOf("worker-1");
  await client.post({ certificates });
  const distrust = { ...certificates, authority: rogueAuthority.certificatePem };
  await assert.rejects(client.post({ certificates: distrust }), /not signed by ca\.crt/);
  const both = { ...certificates, authority: distrust.authority + authority.certificatePem };
  assert.equal((await client.post({ certificates: both })).status, 204);
  assert.equal(master.heartbeatCount, 2);
});

Deno.test("M23 MasterClient.post() verifies a kept connection's master again", async () => {
  // Certificates have whole seconds.
  const notAfter = new Date(Math.ceil(Date.now() / 1000 + 1) * 1000);
  const names = { commonName: "the master", dnsNames: ["master.test"] };
  await using master = await startMaster({ certificate: { ...names, notAfter } });
  using client = TestClient.to(master);
  const isOver = async () => {
    while (Date.now() <= notAfter.getTime()) await new Promise((next) => setTimeout(next, 10));
  };
  for (let times = 0; times < 2; times++) assert.equal((await client.post()).status, 204);
  assert.equal(master.connectionCount, 1);
  await isOver();
  await assert.rejects(client.post(), /: its certificate has expired: it is valid from /);
  assert.equal(master.heartbeatCount, 2);
  assert.equal(await openConnectionsOf(master), 0);
  master.renew(await authority.issue(names), authority.certificatePem);
  assert.equal((await client.post()).status, 204);
});

onMaster.test("M5 MasterClient.post() returns any answer", async (master, client) => {
  const date = "Sun, 22 Nov 2026 10:00:00 GMT";
  const cases: [status: number, text: string, retryAfter?: string][] = [
    ...[204, 403, 422].map((status): [number, string] => [status, ""]),
    ...[[200, "thanks"], [400, "{}"], [404, "é😀"], [500, "boom"]] as [number, string][],
    ...[[429, "", "7"], [503, "", date]] as [number, string, string][],
  ];
  for (const [status, text, retryAfter = null] of cases) {
    const headers: Record<string, string> = retryAfter === null
      ? {}
      : { "Retry-After": retryAfter };
    master.answer = { status, headers, body: text };
    assert.deepEqual(await client.post(), { status, retryAfter, text });
  }
});

Deno.test("M5 MasterClient.post() does not follow a redirect", async () => {
  await using master = await startMaster();
  await using elsewhere = await startMaster();
  using client = TestClient.to(master);
  for (const status of [301, 302, 303, 307, 308]) {
    const location = `https://127.0.0.1:${elsewhere.port}/swarm/heartbeat`;
    master.answer = { status, headers: { location } };
    assert.equal((await client.post()).status, status);
  }
  assert.equal(elsewhere.connectionCount, 0);
  assert.equal(master.heartbeatCount, 5);
});

onMaster.test("MasterClient.post() keeps 200 characters of an answer", async (master, client) => {
  const bodies = ["x".repeat(300), "é".repeat(300), "why ".repeat(25_000)]
    .concat(`${"x".repeat(199)}😀😀`);
  for (const body of bodies) {
    const headers = { "content-length": `${new TextEncoder().encode(body).length}` };
    master.answer = { status: 500, body, headers };
    const { text } = await client.post();
    assert.equal(text.length, 200);
    assert.ok(text.isWellFormed());
    assert.equal(text.slice(0, 199), body.slice(0, 199));
  }
});

onMaster.test("MasterClient.post() returns the status of a cut answer", async (master, client) => {
  // On a kept connection first, and then on new ones.
  for (const status of [204, 503, 200, 403]) {
    master.answer = status === 204 ? { status } : { kind: "cut", status };
    const { status: seen, retryAfter } = await client.post();
    assert.deepEqual([seen, retryAfter], [status, status === 204 ? null : "7"]);
  }
  assert.equal(master.heartbeatCount, 4);
});

onMaster.test("MasterClient.post() ends when it is aborted", async (master, client) => {
  master.answer = { kind: "half-open" };
  const controller = new AbortController();
  const { signal } = controller;
  const posted = client.post({ signal, timeoutMs: 60_000 });
  await master.nextHeartbeat();
  controller.abort(new Error("the agent is stopping"));
  await assert.rejects(posted, /: the agent is stopping$/);
  await assert.rejects(client.post({ signal }), /: the agent is stopping$/);
  assert.equal(master.heartbeatCount, 1);
});

onMaster.test("MasterClient.post() sends nothing if aborted while connecting", async (master) => {
  const controller = new AbortController();
  // Used when TLS is connected.
  const abort = () => (controller.abort(new Error("the agent is stopping")), "decnet-agent/test");
  const address = { host: "127.0.0.1", port: master.port, name: "master.test", fingerprint: null };
  const client = new MasterClient(address, { toString: abort } as string);
  const { signal } = controller;
  const posted = client.post("/swarm/heartbeat", "{}", await certificatesOf("worker-1"), signal);
  await assert.rejects(posted, /: the agent is stopping$/);
  assert.equal(master.heartbeatCount, 0);
});

/** Starts a master whose answer to each heartbeat, counted from 1, the test gives. */
async function startCustom(
  give: (heartbeat: number, request: IncomingMessage, response: ServerResponse) => void,
): Promise<TlsMaster> {
  const master = await startMaster({ certificate: { dnsNames: ["master.test", "localhost"] } });
  master.answer = (heartbeat) => ({
    kind: "custom",
    give: (request, response) => give(heartbeat, request, response),
  });
  return master;
}

/** Small, and larger than the buffers of a connection. */
const bodies = ["{}", JSON.stringify("x".repeat(8_000_000))];

Deno.test("MasterClient.post() sends a body again after a break", async () => {
  await using master = await startCustom((heartbeat, { socket }, response) => {
    if (heartbeat % 4 === 2) socket.destroy();
    else response.writeHead(204).end();
  });
  using client = TestClient.to(master);
  for (const body of bodies.flatMap((it) => [it, it, it])) {
    assert.equal((await client.post({ body })).status, 204);
  }
  assert.equal(master.heartbeatCount, 8);
});

Deno.test("MasterClient.post() keeps its time sending a body again", async () => {
  await using master = await startCustom((heartbeat, { socket }, response) => {
    if (heartbeat === 1) response.writeHead(204).end();
    // The kept connection breaks late in the time that the second heartbeat has.
    if (heartbeat === 2) setTimeout(() => socket.destroy(), 1_000);
  });
  using client = TestClient.to(master);
  await client.post();
  const startedAt = performance.now();
  await assert.rejects(
    client.post({ timeoutMs: 1_500 }),
    /: no answer within 1\.5 s; see what holds up the master$/,
  );
  assert.ok(performance.now() - startedAt < 2_400);
  assert.equal(master.heartbeatCount, 3);
});

Deno.test("MasterClient.post() has time to connect after a late break", async () => {
  await using master = await startCustom((heartbeat, { socket }, response) => {
    if (heartbeat === 2) setTimeout(() => socket.destroy(), 500);
    else response.writeHead(204).end();
  });
  using client = TestClient.to(master);
  await client.post();
  const { lookup } = dns.promises;
  dns.promises.lookup = (async () => {
    await new Promise((resolve) => setTimeout(resolve, 400));
    return [{ address: "127.0.0.1", family: 4 }];
  }) as unknown as typeof lookup;
  try {
    assert.equal((await client.post({ connectTimeoutMs: 700 })).status, 204);
  } finally {
    dns.promises.lookup = lookup;
  }
});

Deno.test("MasterClient.post() sends nothing again on a new connection", async () => {
  await using master = await startCustom((_heartbeat, { socket }) => socket.destroy());
  using client = TestClient.to(master);
  for (const body of bodies) await assert.rejects(client.post({ body }));
  assert.equal(master.heartbeatCount, 2);
});

for (const reason of ["the time is over", "it is aborted"]) {
  Deno.test(`M3 MasterClient.post() does not send a heartbeat again after ${reason}`, async () => {
    const controller = new AbortController();
    await using master = await startCustom((heartbeat, _request, response) => {
      if (heartbeat !== 2) response.writeHead(204).end();
      else if (reason === "it is aborted") controller.abort(new Error("the agent is stopping"));
    });
    using client = TestClient.to(master);
    await client.post();
    const { signal } = controller;
    const timeoutMs = reason === "it is aborted" ? 60_000 : 300;
    await assert.rejects(client.post({ signal, timeoutMs }), /is stopping$|within 0\.3 s;/);
    await client.post();
    assert.equal(master.heartbeatCount, 3);
  });
}

Deno.test("MasterClient.post() gives the answer more time than the connection", async () => {
  await using master = await startCustom((heartbeat, _request, response) => {
    setTimeout(() => response.writeHead(204).end(), heartbeat === 1 ? 0 : 1_300);
  });
  using client = TestClient.to(master);
  for (let heartbeat = 0; heartbeat < 2; heartbeat++) {
    assert.equal((await client.post({ connectTimeoutMs: 1_000 })).status, 204);
  }
});

Deno.test("MasterClient.post() reads answers of each form", async () => {
  const chunks = "Transfer-Encoding: chunked\r\n\r\n3\r\nyes\r\n0\r\n\r\n";
  const forms: [answer: string, isKept: boolean][] = [
    ["HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes", true],
    [`HTTP/1.1 200 OK\r\n${chunks}`, true],
    ["HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes", true],
    ["HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nyes", false],
    ["HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nyes", false],
    // What follows an answer would be read as that to the next heartbeat.
    ["HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyesHTTP/1.1 204 No Content\r\n\r\n", false],
  ];
  await using master = await startCustom((heartbeat, { socket }) => {
    socket.write(forms[(heartbeat - 1) >> 1]![0]);
  });
  using client = TestClient.to(master);
  let expected = 1;
  for (const [answer, isKept] of forms) {
    for (let times = 0; times < 2; times++) {
      const { status, text } = await client.post();
      assert.deepEqual([status, text], [200, "yes"], answer);
      assert.equal(master.connectionCount, expected, answer);
      if (!isKept) expected++;
    }
  }
});

Deno.test("MasterClient.post() reads no answer that came before its request", async () => {
  await using master = await startCustom((heartbeat, { socket }, response) => {
    response.writeHead(heartbeat === 1 ? 204 : 403).end();
    if (heartbeat === 1) setTimeout(() => socket.write("HTTP/1.1 204 No Content\r\n\r\n"), 50);
  });
  using client = TestClient.to(master);
  assert.equal((await client.post()).status, 204);
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal((await client.post()).status, 403);
});

onMaster.test(
  "MasterClient.post() keeps no connection on which it still sends",
  async (master, client) => {
    const answer = "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n";
    master["server"].removeAllListeners("secureConnection")
      .on("secureConnection", (socket) => socket.once("data", () => socket.pause().write(answer)));
    const body = JSON.stringify("x".repeat(16_000_000));
    for (let times = 0; times < 2; times++) {
      assert.equal((await client.post({ body, timeoutMs: 2_000 })).status, 413);
    }
  },
);

Deno.test("MasterClient.post() says that an answer is not HTTP, or cut", async () => {
  const cases: [answer: string, words: RegExp][] = [
    ["SSH-2.0-OpenSSH_9.2\r\n", /: its answer is not HTTP; see swarmctl-port$/],
    ["HTTP/2 200 OK\r\n\r\n", /: its answer is not HTTP/],
    ["HTTP/1.1 200 OK\r\nno colon\r\n\r\n", /: its answer is not HTTP/],
    ["HTTP/1.1 200 OK\r\nServer: ", /: it closed the connection before it answered/],
  ];
  await using master = await startCustom((heartbeat, { socket }) => {
    socket.end(cases[heartbeat - 1]![0]);
  });
  using client = TestClient.to(master);
  for (const [, words] of cases) await assert.rejects(client.post(), words);
  assert.equal(master.heartbeatCount, cases.length);
});

Deno.test("MasterClient.post() asks for the master by its name (SNI)", async () => {
  const names: unknown[] = [];
  await using master = await startCustom((_heartbeat, { socket }, response) => {
    names.push((socket as TLSSocket & { servername: unknown }).servername || null);
    response.writeHead(204).end();
  });
  const cases: [host: string, name: string | null, asked: string | null][] = [
    ["127.0.0.1", "master.test", "master.test"],
    ["127.0.0.1", "127.0.0.1", null],
    ["127.0.0.1", null, null],
    ["localhost", null, "localhost"],
    ["localhost", "master.test", "localhost"],
  ];
  for (const [host, name] of cases) {
    using client = TestClient.to(master, { host, name });
    await client.post();
  }
  assert.deepEqual(names, cases.map(([, , asked]) => asked));
});
