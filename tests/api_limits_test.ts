import assert from "node:assert/strict";
import { defaultBounds } from "../api/bounds.ts";
import { ApiSetup, worker } from "./api_setup.ts";

const head = "HTTP/1.1\r\nHost: agent\r\n";
const get = `GET /health ${head}\r\n`;
const ok = '{"status":"ok"}';
const nineMiB = new Uint8Array(9 * 2 ** 20);

Deno.test("the API's bounds are those of the contract", () => {
  const { maximumConnections, maximumBodyBytes, headerTimeoutMs, bodyTimeoutMs } = defaultBounds;
  assert.deepEqual(
    [maximumConnections, maximumBodyBytes, headerTimeoutMs, bodyTimeoutMs],
    [16, 8_388_608, 5_000, 60_000],
  );
});

Deno.test("the API answers 413 to a body over 8 MiB, told or not, to a client that sends it all", async () => {
  await using api = await ApiSetup.start();
  for (const body of [nineMiB, [nineMiB.subarray(2 ** 20), nineMiB.subarray(2 ** 23)]]) {
    const reply = await api.post("/topology/apply", body);
    assert.deepEqual(
      [reply.status, reply.body],
      [413, { detail: "the body is larger than 8388608 bytes" }],
    );
  }
  // Of 8 MiB it is the content that is wrong.
  const reply = await api.post("/topology/apply", nineMiB.subarray(2 ** 20));
  assert.equal(reply.status, 422);
});

Deno.test("the API answers 413 before it has read a byte, when it is told the length", async () => {
  await using api = await ApiSetup.start();
  using client = await api.talk();
  client.say(`POST /topology/apply ${head}Content-Length: 8388609\r\n\r\n`);
  assert.match(await client.hear("bytes"), /^HTTP\/1\.1 413 /);
});

Deno.test("the API answers 408 to a body that does not come in time", async () => {
  await using api = await ApiSetup.start({ bounds: { bodyTimeoutMs: 100 } });
  using client = await api.talk();
  client.say(`POST /topology/apply ${head}Content-Length: 100\r\n\r\n{"hydrated"`);
  assert.match(await client.end(), /^HTTP\/1\.1 408 [^]*"the body did not come within 0\.1 s"/);
  assert.deepEqual(api.service.calls, []);
});

Deno.test("the API gives a body more time than the headers", async () => {
  const headerTimeoutMs = 400;
  await using api = await ApiSetup.start({ bounds: { headerTimeoutMs } });
  using client = await api.talk();
  const startedAt = performance.now();
  client.say(`POST /topology/teardown ${head}Content-Length: 19\r\n\r\n{"topology_id"`);
  while (performance.now() - startedAt < 2 * headerTimeoutMs) await api.call("/health");
  client.say(':"t"}');
  await client.hear('{"status":"torn_down","topology_id":"t"}');
});

Deno.test("the API gives up a client that does not finish its headers", async () => {
  await using api = await ApiSetup.start({ bounds: { headerTimeoutMs: 400 } });
  const stranger = async () => {
    using client = await api.talk(worker);
    assert.equal(await client.end(), "");
  };
  const slow = async (words: string) => {
    using client = await api.talk();
    client.say(words);
    assert.match(await client.end(), /^HTTP\/1\.1 408 [^]*"the request did not come in time"/);
  };
  // Nor does a kept connection have longer for its next request.
  const late = async () => {
    using client = await api.talk();
    client.say(get);
    await client.hear(ok);
    client.say("GET /heal");
    assert.match(await client.end(), /HTTP\/1\.1 408 [^]*in time/);
  };
  const starts = ["", "GET", `GET /health ${head}`, `GET /health ${head}X`];
  await Promise.all([stranger(), late(), ...starts.map(slow)]);
});

Deno.test("the API lets an answer take longer than anything that it waits for", async () => {
  const ms = 400;
  const bounds = {
    handshakeTimeoutMs: ms,
    headerTimeoutMs: ms,
    bodyTimeoutMs: ms,
    idleTimeoutMs: 1,
  };
  await using api = await ApiSetup.start({ bounds });
  api.service.onCall = () => new Promise((resolve) => setTimeout(resolve, 2 * ms));
  const { status } = await api.post("/topology/teardown", { topology_id: "t" });
  assert.equal(status, 200);
});

Deno.test("the API closes a connection on which nothing comes for long", async () => {
  await using api = await ApiSetup.start({ bounds: { idleTimeoutMs: 50 } });
  using client = await api.talk();
  client.say(get);
  assert.match(await client.end(), /^HTTP\/1\.1 200 [^]*\{"status":"ok"\}$/);
});

Deno.test("the API answers what is not HTTP, or too much of it, with a small error", async () => {
  await using api = await ApiSetup.start();
  const cases: [words: string, status: number][] = [
    ["rubbish\r\n\r\n", 400],
    ["\0\0\0\0", 400],
    [`POST /topology/apply ${head}Content-Length: 1\r\nContent-Length: 2\r\n\r\n`, 400],
    [`POST /topology/apply ${head}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`, 400],
    [`GET /health ${head}X: ${"x".repeat(17 * 1024)}\r\n\r\n`, 431],
    [`GET /${"x".repeat(17 * 1024)} ${head}\r\n`, 431],
  ];
  for (const [words, status] of cases) {
    using client = await api.talk();
    client.say(words);
    const heard = await client.end();
    assert.match(heard, new RegExp(`^HTTP/1.1 ${status} [^]*\r\n\r\n\\{"detail":"[^"]+"\\}$`));
  }
  using client = await api.talk();
  client.say("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  assert.match(await client.end(), /^HTTP\/1\.1 400 /);
});

Deno.test("the API never takes what follows a request for a part of its answer", async () => {
  await using api = await ApiSetup.start();
  const { promise, resolve } = Promise.withResolvers<void>();
  api.service.onCall = () => promise;
  using client = await api.talk();
  client.say(`GET /topology/state ${head}\r\nrubbish\r\n\r\n`);
  assert.equal(await client.end(), "");
  resolve();
});
