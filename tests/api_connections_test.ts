import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import type { Conversation } from "./api_client.ts";
import { ApiSetup, master, worker } from "./api_setup.ts";

const head = "HTTP/1.1\r\nHost: agent\r\n";
const get = `GET /health ${head}\r\n`;
const ok = '{"status":"ok"}';

Deno.test("the API gives up a client that does not finish its handshake", async () => {
  await using api = await ApiSetup.start({ bounds: { handshakeTimeoutMs: 100 } });
  using silent = await Tcp.open(api.port);
  await silent.closed;
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
