import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { defaultBounds } from "../api/bounds.ts";
import type { Conversation } from "./api_client.ts";
import { ApiSetup, master, worker } from "./api_setup.ts";

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

Deno.test("the API gives up a client that does not finish its handshake", async () => {
  await using api = await ApiSetup.start({ bounds: { handshakeTimeoutMs: 100 } });
  using silent = await Tcp.open(api.port);
  await silent.closed;
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

Deno.test("the API answers the master while a hundred connections do nothing", async () => {
  await using api = await ApiSetup.start();
  using held = new Held<Tcp>();
  for (let i = 0; i < 100; i++) held.add(await Tcp.open(api.port));
  assert.equal((await api.call("/health")).status, 200);
  // The oldest ones had to go.
  await Promise.all(held.connections.slice(0, 84).map(({ closed }) => closed));
  assert.ok(held.connections.slice(-15).every(({ isClosed }) => !isClosed));
});

Deno.test("the API answers a hundred connections that all come at once, or closes them", async () => {
  await using api = await ApiSetup.start();
  const calls = Array.from({ length: 100 }, () => api.call("/health").then((it) => it.status));
  const ended = await Promise.allSettled(calls);
  const answered = ended.filter((it) => it.status === "fulfilled");
  assert.ok(answered.length > 0 && answered.every(({ value }) => value === 200));
  assert.equal((await api.call("/health")).status, 200);
});

Deno.test("the API holds a worker's connections for less than the master's", async () => {
  await using api = await ApiSetup.start();
  using own = await api.talk();
  own.say(get);
  await own.hear(ok);
  using held = new Held<Conversation>();
  for (let i = 0; i < 20; i++) held.add(await api.talk(worker));
  assert.equal((await api.call("/health")).status, 200);
  own.say(`GET /topology/state ${head}\r\n`);
  await own.hear('{"topology_id":null}');
});

Deno.test("the API takes no more than sixteen calls at once, but an idle connection gives way", async () => {
  await using api = await ApiSetup.start();
  const { promise, resolve } = Promise.withResolvers<void>();
  api.service.onCall = () => promise;
  using held = new Held<Conversation>();
  const idle = held.add(await api.talk());
  idle.say(get);
  await idle.hear(ok);
  for (let i = 0; i < 16; i++) {
    const client = held.add(await api.talk());
    client.say(`GET /topology/state ${head}\r\n`);
    while (api.service.calls.length <= i) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await idle.end();
  await assert.rejects(api.call("/health"));
  resolve();
  for (const client of held.connections.slice(1)) await client.hear('{"topology_id":null}');
  assert.equal((await api.callAs(master, "/health")).status, 200);
});

/** A TCP connection on which nothing is said. */
class Tcp implements Disposable {
  isClosed = false;
  readonly closed: Promise<void>;
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.closed = promise;
    socket.on("error", () => {}).on("close", () => {
      this.isClosed = true;
      resolve();
    }).resume();
  }

  static async open(port: number): Promise<Tcp> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const socket = connect(port, "127.0.0.1", resolve).once("error", reject);
    await promise;
    return new Tcp(socket);
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}

/** What is held on to until the end of a test. */
class Held<T extends Disposable> implements Disposable {
  readonly connections: T[] = [];

  add(connection: T): T {
    this.connections.push(connection);
    return connection;
  }

  [Symbol.dispose](): void {
    for (const connection of this.connections) connection[Symbol.dispose]();
  }
}
