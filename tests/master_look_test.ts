import assert from "node:assert/strict";
import type { AddressInfo, Socket } from "node:net";
import { createServer, type TlsOptions } from "node:tls";
import type { IssueOptions } from "./certificates.ts";
import {
  authority,
  certificatesOf,
  rogueAuthority,
  startMaster,
  TestClient,
} from "./master_setup.ts";
import { SwallowingProxy } from "./swallowing_proxy.ts";

const server: IssueOptions = {
  commonName: "the master",
  dnsNames: ["master.test"],
  ipAddresses: ["127.0.0.1"],
};
const unknown =
  /: its certificate is not signed by ca\.crt, or not valid now, which is \S+Z by this host's clock \(\w+\)$/;

/** What a stranger in the place of the master has seen. */
interface Stranger extends AsyncDisposable {
  readonly port: number;
  connections: number;
  /** The subjects of the client certificates, one for each handshake that came to its end. */
  readonly shown: unknown[];
  bytes: number;
}

async function listen(options: TlsOptions = {}): Promise<Stranger> {
  const { certificatePem: cert, keyPem: key } = await rogueAuthority.issue(server);
  const sockets = new Set<Socket>();
  const ca = authority.certificatePem;
  // It asks for a client certificate and takes whatever comes.
  const defaults = { cert, key, ca, requestCert: true, rejectUnauthorized: false };
  const listener = createServer({ ...defaults, ...options }, (socket) => {
    stranger.shown.push(socket.getPeerCertificate()?.subject ?? null);
    socket.on("data", ({ length }) => stranger.bytes += length).on("error", () => {});
  });
  listener.on("connection", (socket: Socket) => {
    stranger.connections++;
    sockets.add(socket);
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const stranger: Stranger = {
    port: (listener.address() as AddressInfo).port,
    connections: 0,
    shown: [],
    bytes: 0,
    [Symbol.asyncDispose]: () => {
      const closed = new Promise<void>((resolve) => listener.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      return closed;
    },
  };
  return stranger;
}

Deno.test("MasterClient.post() looks at a stranger's certificate and gives nothing away", async () => {
  await using stranger = await listen();
  using client = await TestClient.to(stranger);
  // It learns no trust from what it has seen, either.
  for (let times = 1; times <= 3; times++) {
    await assert.rejects(
      client.post({ body: '{"secret":1}' }),
      /: its certificate is not signed by/,
    );
    assert.equal(stranger.connections, 2 * times);
  }
  // The last of them may be gone before the stranger's end of the handshake is over.
  assert.ok(stranger.shown.length > 0 && stranger.shown.every((subject) => subject === null));
  assert.equal(stranger.bytes, 0);
});

Deno.test("MasterClient.post() looks at no master that it trusts or that has another fault", async () => {
  await using master = await startMaster();
  await using proxy = new SwallowingProxy(master.port);
  using client = await TestClient.to(proxy);
  await client.post();
  master.answer = { kind: "cut", status: 503 };
  await client.post();
  assert.equal(proxy.connectionCount, 1);
  using misnamed = await TestClient.to(proxy, { name: "other.test" });
  await assert.rejects(misnamed.post(), /does not bear the name/);
  assert.equal(proxy.connectionCount, 2);
});

Deno.test("MasterClient.post() names the clock when a master with TLS 1.2 hides its certificate", async () => {
  await using stranger = await listen({ maxVersion: "TLSv1.2", rejectUnauthorized: true });
  using client = await TestClient.to(stranger);
  await assert.rejects(client.post(), unknown);
  assert.equal(stranger.connections, 2);
  assert.deepEqual(stranger.shown, []);
});

Deno.test("MasterClient.post() keeps to its time, and ends at once, while a stranger shows nothing more", async () => {
  await using stranger = await listen();
  await using proxy = new SwallowingProxy(stranger.port);
  proxy.isDead = (connection) => connection % 2 === 0;
  using client = await TestClient.to(proxy);
  const startedAt = performance.now();
  await assert.rejects(client.post({ timeoutMs: 1_000 }), unknown);
  assert.ok(performance.now() - startedAt < 1_900);
  const controller = new AbortController();
  const { signal } = controller;
  const rejected = assert.rejects(client.post({ timeoutMs: 60_000, signal }), unknown);
  while (proxy.connectionCount < 4) await new Promise((resolve) => setTimeout(resolve, 2));
  const abortedAt = performance.now();
  controller.abort();
  await rejected;
  assert.ok(performance.now() - abortedAt < 1_500);
});

Deno.test("MasterClient.post() tells what is known when ca.crt holds what is no certificate", async () => {
  await using stranger = await listen();
  using client = await TestClient.to(stranger);
  const certificates = { ...await certificatesOf("worker-1"), authority: "" };
  await assert.rejects(client.post({ certificates }), unknown);
});
