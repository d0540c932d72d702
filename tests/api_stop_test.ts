import assert from "node:assert/strict";
import { ApiSetup, worker } from "./api_setup.ts";

const head = "HTTP/1.1\r\nHost: agent\r\n";
const getState = `GET /topology/state ${head}\r\n`;
const getHealth = `GET /health ${head}\r\n`;

Deno.test("ApiServer.stop() closes what is idle at once, and the port", async () => {
  // That it waits for nothing is seen from its being over at all.
  const api = await ApiSetup.start({ bounds: { stopTimeoutMs: 2 ** 30 } });
  using idle = await api.talk();
  idle.say(getHealth);
  await idle.hear('{"status":"ok"}');
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

Deno.test("ApiServer.stop() lets an answer that is due be written", async () => {
  const api = await ApiSetup.start({ bounds: { stopTimeoutMs: 2 ** 30 } });
  const asked = Promise.withResolvers<void>();
  const finish = Promise.withResolvers<void>();
  api.service.onCall = () => {
    asked.resolve();
    return finish.promise;
  };
  using client = await api.talk();
  client.say(getState);
  await asked.promise;
  const stopped = api.stop();
  finish.resolve();
  await stopped;
  assert.match(await client.end(), /connection: close\r\n[^]*\{"topology_id":null\}$/);
});

Deno.test("ApiServer.stop() waits no longer than it may", async () => {
  const api = await ApiSetup.start({ bounds: { stopTimeoutMs: 50 } });
  const asked = Promise.withResolvers<void>();
  api.service.onCall = () => {
    asked.resolve();
    return new Promise(() => {});
  };
  using client = await api.talk();
  client.say(getState);
  using slow = await api.talk();
  slow.say(`POST /topology/apply ${head}Content-Length: 100\r\n\r\n{`);
  await asked.promise;
  await api.stop();
  assert.equal(await client.end(), "");
  assert.equal(await slow.end(), "");
});

Deno.test("the API tells the service when nobody waits for the state any more", async () => {
  await using api = await ApiSetup.start();
  const asked = Promise.withResolvers<void>();
  api.service.onCall = () => {
    asked.resolve();
    return new Promise(() => {});
  };
  const client = await api.talk();
  client.say(getState);
  await asked.promise;
  const signal = api.service.signals[0]!;
  assert.equal(signal.aborted, false);
  const { promise: gone, resolve } = Promise.withResolvers<void>();
  signal.addEventListener("abort", () => resolve());
  client[Symbol.dispose]();
  await gone;
});

Deno.test("the API goes on with an apply whose client has left, and answers others meanwhile", async () => {
  await using api = await ApiSetup.start();
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
  client.say(`POST /topology/apply ${head}Content-Length: ${body.length}\r\n\r\n${body}`);
  await asked.promise;
  assert.equal((await api.call("/topology/state")).status, 200);
  client[Symbol.dispose]();
  assert.equal((await api.call("/topology/state")).status, 200);
  assert.deepEqual(events, []);
  finish.resolve();
  assert.equal((await api.call("/health")).status, 200);
  assert.deepEqual(events, ["applied"]);
  assert.deepEqual(api.log, []);
});

Deno.test("the API asks for nothing when a client leaves in the middle of its body", async () => {
  await using api = await ApiSetup.start();
  const client = await api.talk();
  client.say(`POST /topology/apply ${head}Content-Length: 100\r\nExpect: 100-continue\r\n\r\n`);
  await client.hear("100 Continue");
  client.say("{");
  client[Symbol.dispose]();
  assert.equal((await api.call("/health")).status, 200);
  assert.deepEqual(api.service.calls, []);
  assert.deepEqual(api.log, []);
});
