import assert from "node:assert/strict";
import { ApiSetup, onApi } from "../tests/support/api_setup.ts";
import { until } from "../tests/support/environment.ts";
import { ClientGone, SerialQueue } from "./routes.ts";

const { signal: here } = new AbortController();

Deno.test("SerialQueue.enter() serves one at a time, in order", async () => {
  const queue = new SerialQueue();
  const served: number[] = [];
  let running = 0;
  await Promise.all([1, 2, 3, 4].map(async (number) => {
    const end = await queue.enter(here);
    assert.equal(++running, 1);
    served.push(number);
    await new Promise((resolve) => setTimeout(resolve, 5 - number));
    running--;
    end();
  }));
  assert.deepEqual(served, [1, 2, 3, 4]);
});

Deno.test("SerialQueue.enter() drops a client that has gone, serves the next", async () => {
  const queue = new SerialQueue();
  const end = await queue.enter(here);
  const leaving = new AbortController();
  const dropped = queue.enter(leaving.signal);
  const next = queue.enter(here);
  leaving.abort();
  await assert.rejects(dropped, ClientGone);
  end();
  (await next)();
  await assert.rejects(queue.enter(leaving.signal), ClientGone);
  (await queue.enter(here))();
});

const head = "HTTP/1.1\r\nHost: agent\r\n";
const getState = `GET /topology/state ${head}\r\n`;

onApi.test("the API answers pipelined requests with bodies in their order", async (api) => {
  using client = await api.talk();
  const ids = Array.from({ length: 50 }, (_, index) => `t-${index}`);
  const calls = ids.map((id) => {
    const body = JSON.stringify({ topology_id: id });
    return `POST /topology/teardown ${head}Content-Length: ${body.length}\r\n\r\n${body}`;
  }).join(getState);
  // A body that comes in two parts, after other requests.
  client.send(calls.slice(0, -5));
  await client.receive('"t-48"');
  client.send(calls.slice(-5));
  const received = await client.receive('"t-49"');
  assert.deepEqual(
    [...received.matchAll(/"torn_down","topology_id":"(.*?)"/g)].map(([, id]) => id),
    ids,
  );
  assert.deepEqual(api.service.calls.filter((it) => it !== "state").length, 50);
});

onApi.test("the API reads no further while requests wait for an answer", async (api) => {
  const { promise, resolve } = Promise.withResolvers<void>();
  api.service.onCall = () => promise;
  using client = await api.talk();
  const part = getState.repeat(1_000);
  for (let i = 0; i < 1_000; i++) client.send(part);
  await until(() => api.service.calls.length > 0);
  let taken = -1;
  while (taken !== client.taken) {
    taken = client.taken;
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  // The kernel's buffers take some megabytes.
  assert.ok(taken < 20 * 2 ** 20, `${taken} of ${1_000 * part.length} bytes`);
  assert.deepEqual(api.service.calls, ["state"]);
  resolve();
});

Deno.test("the API answers a request while the next one stays incomplete", async () => {
  await using api = await ApiSetup.start({ limits: { headerTimeoutMs: 100 } });
  api.service.onCall = () => new Promise((resolve) => setTimeout(resolve, 1_500));
  using client = await api.talk();
  client.send(`${getState}GET /hea`);
  const received = await client.end();
  assert.match(
    received,
    /^HTTP\/1\.1 200 [^]*\r\nconnection: close\r\n[^]*\{"topology_id":null\}$/i,
  );
});

onApi.test("the API reads a body, up to its limit, while another call is answered", async (api) => {
  const { promise, resolve } = Promise.withResolvers<void>();
  api.service.onCall = () => promise;
  const first = api.post("/topology/teardown", { topology_id: "A" });
  await until(() => api.service.calls.length === 1);
  using endless = await api.talk();
  endless.send(`POST /topology/apply ${head}Transfer-Encoding: chunked\r\n\r\n`);
  for (let i = 0; i < 9; i++) endless.send(`100000\r\n${"x".repeat(2 ** 20)}\r\n`);
  await endless.receive("HTTP/1.1 413 ");
  // A body that is slow to come holds up no other call.
  using slow = await api.talk();
  slow.send(`POST /topology/teardown ${head}Content-Length: 20\r\n\r\n{"topology`);
  const next = api.post("/topology/teardown", { topology_id: "B" });
  resolve();
  assert.deepEqual([(await first).status, (await next).status], [200, 200]);
});
