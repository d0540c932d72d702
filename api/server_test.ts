import assert from "node:assert/strict";
import { connect } from "node:tls";
import { ApplyError, type ApplyErrorCode } from "../apply/apply_error.ts";
import { ApiSetup, call, master, onApi, worker } from "../tests/support/api_setup.ts";
import { listenPlainTcp } from "../tests/support/environment.ts";
import { defaultLimits } from "./connections.ts";

const head = "HTTP/1.1\r\nHost: agent\r\n";
const get = `GET /health ${head}\r\n`;
const ok = '{"status":"ok"}';
const applied = { status: "applied", version_hash: "cafe" };
const apply = { hydrated: { lans: [] }, version_hash: "cafe" };

onApi.test("the API answers each call of the contract", async (api) => {
  const cases: [path: string, body: unknown, answer: unknown, call: string | null][] = [
    ["/health", undefined, { status: "ok" }, null],
    ["/health?", undefined, { status: "ok" }, null],
    ["/topology/state", undefined, { topology_id: null }, "state"],
    ["/topology/apply", apply, applied, 'apply {"lans":[]} cafe'],
    // JSON.parse would change these numbers.
    [
      "/topology/apply",
      '{"hydrated":{"a":1.0,"b":123456789012345678901234567890},"version_hash":"cafe","more":1}',
      applied,
      'apply {"a":1.0,"b":123456789012345678901234567890} cafe',
    ],
    [
      "/topology/apply",
      [new TextEncoder().encode(JSON.stringify(apply)), new Uint8Array(0)],
      applied,
      'apply {"lans":[]} cafe',
    ],
    [
      "/topology/teardown",
      { topology_id: "t-1" },
      { status: "torn_down", topology_id: "t-1" },
      "teardown t-1",
    ],
    ["/status", undefined, { deployed: false, deckies: [] }, null],
    ["/teardown", { decky_id: null }, { status: "torn_down", decky_id: null }, null],
    ["/teardown", {}, { status: "torn_down", decky_id: null }, null],
    ["/teardown", { decky_id: "d" }, { status: "torn_down", decky_id: "d" }, null],
    ["/self-destruct", "", { status: "self_destruct_scheduled" }, "self-destruct"],
    ["/self-destruct", "no JSON", { status: "self_destruct_scheduled" }, "self-destruct"],
  ];
  for (const [path, body, answer, call] of cases) {
    api.service.calls.length = 0;
    const reply = await api.call(path, { body, method: body === undefined ? "GET" : "POST" });
    assert.deepEqual([reply.status, reply.body], [200, answer], path);
    assert.equal(reply.headers["content-type"], "application/json");
    assert.equal(reply.headers.server, undefined);
    assert.deepEqual(api.service.calls, call === null ? [] : [call]);
  }
  assert.deepEqual(api.log, []);
});

/** Where the API listens, where it is called, and from which address that call comes. */
const addresses = [
  ["127.0.0.1", "127.0.0.1", "127.0.0.1"],
  ["::1", "::1", "::1"],
  ["::", "::1", "::1"],
  ["::", "127.0.0.1", "::ffff:127.0.0.1"],
] as const;

Deno.test("the API says from which address an apply comes", async () => {
  for (const [listening, host, address] of addresses) {
    await using api = await ApiSetup.start({ host: listening });
    const { status } = await call(api.port, "/topology/apply", master, {
      host,
      body: apply,
      method: "POST",
    });
    assert.deepEqual([status, api.service.callerAddresses], [200, [address]]);
  }
});

onApi.test("the API refuses what is not in the contract", async (api) => {
  const cases: [method: string, path: string, status: number, allow?: string][] = [
    ["GET", "/", 404],
    ["GET", "/Health", 404],
    ["GET", "/topology/apply/../state", 404],
    ["POST", "/health", 405, "GET"],
    ["DELETE", "/topology/state", 405, "GET"],
    ["GET", "/topology/apply", 405, "POST"],
    ["PUT", "/topology/teardown", 405, "POST"],
    ["POST", "/status", 405, "GET"],
    ["GET", "/deploy", 405, "POST"],
    ["GET", "/self-destruct", 405, "POST"],
  ];
  for (const [method, path, status, allow] of cases) {
    const reply = await api.call(path, { method });
    assert.deepEqual([reply.status, reply.headers.allow], [status, allow], `${method} ${path}`);
    assert.equal(typeof (reply.body as { detail: string }).detail, "string");
  }
  assert.deepEqual(api.service.calls, []);
});

onApi.test("the API answers 422 to a body of another shape", async (api) => {
  const cases: [path: string, body: unknown, detail: RegExp][] = [
    ["/topology/apply", "", /not valid JSON: it ends too early/],
    ["/topology/apply", "{'a':1}", /not valid JSON at character 2/],
    ["/topology/apply", "[".repeat(300), /deeper than/],
    ["/topology/apply", Uint8Array.of(0x22, 0xff, 0x22), /not UTF-8/],
    ["/topology/apply", "[]", /^the body must be an object$/],
    ["/topology/apply", "null", /^the body must be an object$/],
    ["/topology/apply", { hydrated: {} }, /^version_hash must be a string$/],
    ["/topology/apply", { version_hash: "a" }, /^hydrated must be an object$/],
    ["/topology/apply", { version_hash: "a", hydrated: [] }, /^hydrated must be an object$/],
    ["/topology/apply", { version_hash: "a", hydrated: null }, /^hydrated must be an object$/],
    ["/topology/teardown", {}, /^topology_id must be a string$/],
    ["/topology/teardown", { topology_id: null }, /^topology_id must be a string$/],
    ["/teardown", "null", /^the body must be an object$/],
    ["/teardown", { decky_id: 1 }, /^decky_id must be a string or null$/],
  ];
  for (const [path, body, detail] of cases) {
    const reply = await api.post(path, body);
    assert.equal(reply.status, 422, String(body));
    assert.match((reply.body as { detail: string }).detail, detail);
  }
  assert.deepEqual(api.service.calls, []);
  assert.deepEqual(api.log, []);
});

onApi.test("the API says that it has no fleet form, whatever is deployed", async (api) => {
  const detail = "this agent runs topologies only";
  for (const path of ["/deploy", "/mutate"]) {
    for (const body of ["", "{}", "no JSON", new Uint8Array(2 ** 20)]) {
      const reply = await api.post(path, body);
      assert.deepEqual([reply.status, reply.body], [501, { detail }]);
    }
  }
  assert.deepEqual(api.service.calls, []);
});

onApi.test("the API answers an ApplyError with its status and message", async (api) => {
  const kinds: [ApplyErrorCode, status: number][] = [
    ["malformed", 422],
    ["invalid", 400],
    ["conflict", 409],
    ["loop", 409],
    ["busy", 503],
    ["failed", 500],
  ];
  for (const [kind, status] of kinds) {
    api.service.onCall = () => Promise.reject(new ApplyError(kind, `it is ${kind}`));
    for (const [path, body] of [["apply", apply], ["teardown", { topology_id: "t" }]] as const) {
      const reply = await api.post(`/topology/${path}`, body);
      assert.deepEqual([reply.status, reply.body], [status, { detail: `it is ${kind}` }]);
    }
  }
  api.service.onCall = () =>
    Promise.reject(new ApplyError("failed", "x".repeat(499) + "\u{1f600}"));
  const { detail } = (await api.post("/topology/apply", apply)).body as { detail: string };
  assert.equal(detail, `${"x".repeat(499)}…`);
});

onApi.test("the API logs an unexpected error and does not send it", async (api) => {
  api.service.onCall = () => Promise.reject(new TypeError("the pin is 1234"));
  const reply = await api.post("/topology/apply", apply);
  assert.deepEqual([reply.status, reply.body], [500, { detail: "internal error" }]);
  assert.deepEqual(api.log, ["error the API failed: the pin is 1234 /topology/apply"]);
});

onApi.test("the API keeps a connection for several calls, closes it when idle", async (api) => {
  using client = await api.talk();
  client.send(`GET /health ${head}\r\nGET /topology/state ${head}\r\n`);
  assert.match(await client.receive('{"topology_id":null}'), /Keep-Alive: timeout=60\r\n/);
  // The header Host is not required.
  client.send("GET /nowhere HTTP/1.1\r\n\r\n");
  await client.receive('{"detail":"there is nothing at this path"}');
  const rest = `${head}Content-Length: 19\r\n\r\n{"topology_id":"t"}`;
  client.send(`POST /topology/teardown ${rest}POST /health ${rest}`);
  const received = await client.receive('here"}');
  assert.match(
    received,
    /200 OK[^]*\{"status":"torn_down","topology_id":"t"\}HTTP\/1\.1 405 [^]*"\}$/,
  );
  await using hasty = await ApiSetup.start({ limits: { idleTimeoutMs: 50 } });
  using idle = await hasty.talk();
  idle.send(get);
  assert.match(await idle.end(), /^HTTP\/1\.1 200 [^]*\{"status":"ok"\}$/);
});

onApi.test("the API answers 100 only to a client that may go on", async (api) => {
  const sized = `${head}Content-Length: 19\r\n`;
  using client = await api.talk();
  client.send(`POST /topology/teardown ${sized}Expect: 100-continue\r\n\r\n`);
  await client.receive("100 Continue\r\n\r\n");
  client.send('{"topology_id":"t"}');
  await client.receive('{"status":"torn_down","topology_id":"t"}');
  for (const [path, expectation, status] of [["/", "100-continue", 404], ["/health", "x", 417]]) {
    using other = await api.talk();
    other.send(`POST ${path} ${sized}Expect: ${expectation}\r\n\r\n`);
    assert.match(await other.receive("detail"), new RegExp(`^HTTP/1.1 ${status} `));
  }
});

const teardownHead = "POST /topology/teardown HTTP/1.1\r\nHost: agent\r\n";
const whole = `${teardownHead}Content-Length: 2\r\n\r\n{}`;

/** What ends a connection while a body is still to be read. */
const cases: [name: string, text: string][] = [
  ["is followed by what is no request", `${whole}garbage\r\n\r\n`],
  ["is followed by a call that is cut short", `${whole}${teardownHead}Content-Length: 20\r\n\r\n{`],
  ["is cut short", `${teardownHead}Content-Length: 20\r\n\r\n{`],
  ["has a chunk without a size", `${teardownHead}Transfer-Encoding: chunked\r\n\r\n2\r\n{}zz\r\n`],
];

for (const [name, text] of cases) {
  Deno.test(`the API does not wait for a call that ${name}`, async () => {
    // A call that waited for the body's limit would take longer than any test.
    await using api = await ApiSetup.start({ limits: { bodyTimeoutMs: 3_600_000 } });
    await sendAndEnd(api.port, text);
    const { status } = await api.post("/topology/teardown", { topology_id: "A" });
    assert.equal(status, 200);
    assert.deepEqual([api.service.calls, api.log], [["teardown A"], []]);
  });
}

Deno.test("the API closes a connection when it has announced it", async () => {
  await using api = await ApiSetup.start({ limits: { idleTimeoutMs: 3_600_000 } });
  const length = `Content-Length: 2\r\n\r\n{}`;
  for (const path of ["/health", "/nothing"]) {
    for (const body of [length, "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"]) {
      using client = await api.talk();
      client.send(`POST ${path} HTTP/1.1\r\nHost: agent\r\n${body}`);
      assert.match(await client.end(), /^HTTP\/1\.1 40[45] .*\nconnection: close\r\n.*"\}$/is);
    }
  }
});

/** Sends a text as the master and ends the connection; resolves when it is closed. */
async function sendAndEnd(port: number, text: string): Promise<void> {
  const { authority: ca, certificate: cert, key } = master;
  const socket = connect({ host: "127.0.0.1", port, ca, cert, key, rejectUnauthorized: false });
  const { promise, resolve } = Promise.withResolvers<void>();
  socket.on("error", () => {}).on("data", () => {}).once("close", () => resolve());
  socket.once("secureConnect", () => socket.end(text));
  await promise;
}

const nineMiB = new Uint8Array(9 * 2 ** 20);

Deno.test("the API's bounds are those of the contract", () => {
  const { maximumConnections, maximumHandshakes, maximumBodyBytes, ...more } = defaultLimits;
  assert.deepEqual([maximumConnections, maximumHandshakes, maximumBodyBytes], [16, 256, 8_388_608]);
  assert.deepEqual([more.headerTimeoutMs, more.bodyTimeoutMs], [5_000, 60_000]);
});

onApi.test("the API answers 413 to a body over 8 MiB after reading it", async (api) => {
  for (const body of [nineMiB, [nineMiB.subarray(2 ** 20), nineMiB.subarray(2 ** 23)]]) {
    const reply = await api.post("/topology/apply", body);
    assert.deepEqual(
      [reply.status, reply.body],
      [413, { detail: "the body is larger than 8388608 bytes" }],
    );
  }
  // A body of exactly 8 MiB is read, and its content is wrong.
  const reply = await api.post("/topology/apply", nineMiB.subarray(2 ** 20));
  assert.equal(reply.status, 422);
  // A length over 8 MiB is answered before the body comes.
  using client = await api.talk();
  client.send(`POST /topology/apply ${head}Content-Length: 8388609\r\n\r\n`);
  assert.match(await client.receive("bytes"), /^HTTP\/1\.1 413 /);
});

Deno.test("the API answers 408 to a body that does not come in time", async () => {
  await using api = await ApiSetup.start({ limits: { bodyTimeoutMs: 100 } });
  using client = await api.talk();
  client.send(`POST /topology/apply ${head}Content-Length: 100\r\n\r\n{"hydrated"`);
  assert.match(await client.end(), /^HTTP\/1\.1 408 [^]*"the body did not come within 0\.1 s"/);
  assert.deepEqual(api.service.calls, []);
});

Deno.test("the API gives a body more time than the headers", async () => {
  const headerTimeoutMs = 400;
  await using api = await ApiSetup.start({ limits: { headerTimeoutMs } });
  using client = await api.talk();
  const startedAt = performance.now();
  client.send(`POST /topology/teardown ${head}Content-Length: 19\r\n\r\n{"topology_id"`);
  while (performance.now() - startedAt < 2 * headerTimeoutMs) await api.call("/health");
  client.send(':"t"}');
  await client.receive('{"status":"torn_down","topology_id":"t"}');
});

Deno.test("the API closes a client that does not finish its headers", async () => {
  await using api = await ApiSetup.start({ limits: { headerTimeoutMs: 400 } });
  const stranger = async () => {
    using client = await api.talk(worker);
    assert.equal(await client.end(), "");
  };
  const slow = async (words: string) => {
    using client = await api.talk();
    client.send(words);
    assert.match(await client.end(), /^HTTP\/1\.1 408 [^]*"the request did not come in time"/);
  };
  // The next request on a kept connection has the same limit.
  const late = async () => {
    using client = await api.talk();
    client.send(get);
    await client.receive(ok);
    client.send("GET /heal");
    assert.match(await client.end(), /HTTP\/1\.1 408 [^]*in time/);
  };
  const starts = ["", "GET", `GET /health ${head}`, `GET /health ${head}X`];
  await Promise.all([stranger(), late(), ...starts.map(slow)]);
});

Deno.test("the API has no limit for how long an answer takes", async () => {
  const ms = 400;
  const limits = {
    handshakeTimeoutMs: ms,
    headerTimeoutMs: ms,
    bodyTimeoutMs: ms,
    idleTimeoutMs: 1,
  };
  await using api = await ApiSetup.start({ limits });
  api.service.onCall = () => new Promise((resolve) => setTimeout(resolve, 2 * ms));
  const { status } = await api.post("/topology/teardown", { topology_id: "t" });
  assert.equal(status, 200);
});

onApi.test("the API answers bytes that are not HTTP, or too many, with an error", async (api) => {
  const cases: [words: string, status: number][] = [
    ["rubbish\r\n\r\n", 400],
    ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400],
    ["\0\0\0\0", 400],
    [`POST /topology/apply ${head}Content-Length: 1\r\nContent-Length: 2\r\n\r\n`, 400],
    [`POST /topology/apply ${head}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`, 400],
    [`GET /health ${head}X: ${"x".repeat(17 * 1024)}\r\n\r\n`, 431],
    [`GET /${"x".repeat(17 * 1024)} ${head}\r\n`, 431],
  ];
  for (const [words, status] of cases) {
    using client = await api.talk();
    client.send(words);
    const received = await client.end();
    assert.match(received, new RegExp(`^HTTP/1.1 ${status} [^]*\r\n\r\n\\{"detail":"[^"]+"\\}$`));
  }
});

onApi.test("the API writes no error into the answer to an earlier request", async (api) => {
  const { finish } = holdCalls(api);
  using client = await api.talk();
  client.send(`GET /topology/state ${head}\r\nrubbish\r\n\r\n`);
  assert.equal(await client.end(), "");
  finish();
});

Deno.test("ApiServer.start() rejects when the certificates cannot be loaded", async () => {
  const failure = new Error("Cannot use /etc/decnet/agent/ca.crt: no such file");
  await assert.rejects(
    ApiSetup.start({ certificates: { load: () => Promise.reject(failure) } }),
    failure,
  );
});

Deno.test("ApiServer.start() says why it cannot listen", async () => {
  using taken = listenPlainTcp();
  const absent = "this host has no such address; set listen to one that it has";
  const inUse = "the port is in use by another program; stop it, or set listen to another port";
  const cases: [host: string, port: number, message: string][] = [
    ["127.0.0.1", taken.port, `127.0.0.1:${taken.port}: ${inUse}`],
    ["192.0.2.1", 8765, `192.0.2.1:8765: ${absent}`],
    ["2001:db8::1", 8765, `[2001:db8::1]:8765: ${absent}`],
  ];
  for (const [host, port, text] of cases) {
    const message = `Cannot listen on ${text}`;
    await assert.rejects(ApiSetup.start({ host, port }), { message });
  }
});

const getState = `GET /topology/state ${head}\r\n`;

Deno.test("ApiServer.stop() closes idle connections and the port at once", async () => {
  // If it waited for anything, the test would not end.
  const api = await ApiSetup.start({ limits: { stopTimeoutMs: 2 ** 30 } });
  using idle = await api.talk();
  idle.send(get);
  await idle.receive(ok);
  using silent = await api.talk();
  using stranger = await api.talk(worker);
  const { port } = api;
  await api.stop();
  await Promise.all([idle, silent, stranger].map((it) => it.end()));
  await assert.rejects(
    Deno.connect({ hostname: "127.0.0.1", port }),
    Deno.errors.ConnectionRefused,
  );
});

/** Has each call of the service wait for `finish()`; `asked` resolves with the first. */
function holdCalls({ service }: ApiSetup): { asked: Promise<void>; finish: () => void } {
  const { promise: asked, resolve: ask } = Promise.withResolvers<void>();
  const { promise: finished, resolve: finish } = Promise.withResolvers<void>();
  service.onCall = () => {
    ask();
    return finished;
  };
  return { asked, finish };
}

Deno.test("ApiServer.stop() waits for an answer", async () => {
  const api = await ApiSetup.start({ limits: { stopTimeoutMs: 2 ** 30 } });
  const { asked, finish } = holdCalls(api);
  using client = await api.talk();
  client.send(getState);
  await asked;
  const stopped = api.stop();
  finish();
  await stopped;
  assert.match(await client.end(), /connection: close\r\n[^]*\{"topology_id":null\}$/);
});

Deno.test("ApiServer.stop() waits no longer than its limit", async () => {
  const api = await ApiSetup.start({ limits: { stopTimeoutMs: 50 } });
  const { asked } = holdCalls(api);
  using client = await api.talk();
  client.send(getState);
  using slow = await api.talk();
  slow.send(`POST /topology/apply ${head}Content-Length: 100\r\n\r\n{`);
  await asked;
  await api.stop();
  assert.equal(await client.end(), "");
  assert.equal(await slow.end(), "");
});

onApi.test("the API aborts the state when its client has left", async (api) => {
  const { asked } = holdCalls(api);
  const client = await api.talk();
  client.send(getState);
  await asked;
  const signal = api.service.signals[0]!;
  assert.equal(signal.aborted, false);
  const { promise: gone, resolve } = Promise.withResolvers<void>();
  signal.addEventListener("abort", () => resolve());
  client[Symbol.dispose]();
  await gone;
});

onApi.test("the API finishes an apply whose client has left, answers others", async (api) => {
  const asked = Promise.withResolvers<void>();
  const finish = Promise.withResolvers<void>();
  const events: string[] = [];
  api.service.onCall = async (call) => {
    if (!call.startsWith("apply")) return;
    asked.resolve();
    await finish.promise;
    events.push("applied");
  };
  const body = '{"hydrated":{},"version_hash":"cafe"}';
  const client = await api.talk();
  client.send(`POST /topology/apply ${head}Content-Length: ${body.length}\r\n\r\n${body}`);
  await asked.promise;
  assert.equal((await api.call("/topology/state")).status, 200);
  client[Symbol.dispose]();
  assert.equal((await api.call("/topology/state")).status, 200);
  assert.equal((await api.post("/teardown", { decky_id: null })).status, 200);
  assert.deepEqual(events, []);
  finish.resolve();
  assert.equal((await api.call("/health")).status, 200);
  assert.deepEqual(events, ["applied"]);
  assert.deepEqual(api.log, []);
});
