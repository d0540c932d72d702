import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import {
  agentIdentity,
  ApiSetup,
  call,
  type Conversation,
  master,
  onApi,
  rogue,
  worker,
} from "../tests/support/api_setup.ts";
import {
  attribute,
  commonNames,
  element,
  encode,
  isAuthority,
  makeCertificate,
} from "../tests/support/raw_certificates.ts";
import { authority, certificatesOf } from "../tests/support/master_setup.ts";
import { SwallowingProxy } from "../tests/support/swallowing_proxy.ts";

const head = "HTTP/1.1\r\nHost: agent\r\n";
const get = `GET /health ${head}\r\n`;
const ok = '{"status":"ok"}';

Deno.test("the API closes a client that does not finish its handshake", async () => {
  await using api = await ApiSetup.start({ limits: { handshakeTimeoutMs: 100 } });
  using silent = await Tcp.open(api.port);
  await silent.closed;
});

onApi.test("the API holds 256 handshakes, and answers the master beside them", async (api) => {
  using stack = new DisposableStack();
  const kept = await Promise.all(Array.from({ length: 15 }, () => api.talk()));
  for (const client of kept) stack.use(client);
  const held: Tcp[] = [];
  for (let i = 0; i < 300; i++) held.push(stack.use(await Tcp.open(api.port)));
  assert.equal((await api.call("/health")).status, 200);
  for (const client of kept) {
    client.send(get);
    await client.receive(ok);
  }
  // The oldest ones are closed.
  await Promise.all(held.slice(0, 44).map(({ closed }) => closed));
  assert.ok(held.slice(-255).every(({ isClosed }) => !isClosed));
});

onApi.test("the API lets a slow master in while 100 addresses flood it", async (api) => {
  using stack = new DisposableStack();
  await using distant = new SwallowingProxy(api.port);
  distant.delayMs = 50;
  const flood = async (signal: AbortSignal) => {
    for (let i = 0; !signal.aborted; i++) {
      const attacker = stack.use(await Tcp.open(api.port, `127.0.1.${1 + i % 100}`));
      // Half of them begin a handshake.
      if (i % 2 === 0) attacker.send(clientHello(0x0303));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  const end = new AbortController();
  const flooding = flood(end.signal);
  // The flood has taken all places.
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  for (let i = 0; i < 10; i++) {
    assert.equal((await call(distant.port, "/health", master)).status, 200);
  }
  end.abort();
  await flooding;
});

onApi.test("the API evicts no handshake of an address that the master called from", async (api) => {
  await api.call("/health");
  using stack = new DisposableStack();
  using early = await Tcp.open(api.port);
  const held: Tcp[] = [];
  for (let i = 0; i < 300; i++) {
    held.push(stack.use(await Tcp.open(api.port, `127.0.${1 + (i >> 7)}.${1 + i % 128}`)));
  }
  // The oldest of as many addresses.
  await Promise.all(held.slice(0, 45).map(({ closed }) => closed));
  assert.ok(!early.isClosed);
  assert.ok(held.slice(-255).every(({ isClosed }) => !isClosed));
});

onApi.test("the API closes a worker's connections before the master's", async (api) => {
  using own = await api.talk();
  own.send(get);
  await own.receive(ok);
  using stack = new DisposableStack();
  for (let i = 0; i < 20; i++) stack.use(await api.talk(worker));
  assert.equal((await api.call("/health")).status, 200);
  own.send(`GET /topology/state ${head}\r\n`);
  await own.receive('{"topology_id":null}');
});

onApi.test("the API takes sixteen calls at once, and closes idle connections", async (api) => {
  const { promise, resolve } = Promise.withResolvers<void>();
  api.service.onCall = () => promise;
  using stack = new DisposableStack();
  using idle = await api.talk();
  idle.send(get);
  await idle.receive(ok);
  const clients: Conversation[] = [];
  for (let i = 0; i < 16; i++) {
    const client = stack.use(await api.talk());
    clients.push(client);
    client.send(`GET /topology/state ${head}\r\n`);
    while (api.service.calls.length <= i) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await idle.end();
  await assert.rejects(api.call("/health"));
  resolve();
  for (const client of clients) await client.receive('{"topology_id":null}');
  assert.equal((await api.callAs(master, "/health")).status, 200);
});

/** A TCP connection without TLS. */
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

  /** Connects to 127.0.0.1, from the given address of this host. */
  static async open(port: number, localAddress = "127.0.0.1"): Promise<Tcp> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const socket = connect({ port, host: "127.0.0.1", localAddress }, resolve);
    socket.once("error", reject);
    await promise;
    return new Tcp(socket);
  }

  send(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}

const paths = ["/health", "/topology/state", "/topology/apply", "/topology/teardown", "/nowhere"];

onApi.test("the API answers 403 to another host's certificate on every path", async (api) => {
  for (const path of paths) {
    for (const method of ["GET", "POST", "PUT"]) {
      const reply = await api.callAs(worker, path, { method });
      assert.equal(reply.status, 403, `${method} ${path}`);
      assert.equal(reply.headers.connection, "close");
    }
    for (const more of ["", "Expect: 100-continue\r\n", "Expect: nothing\r\n"]) {
      using client = await api.talk(worker);
      // The body is never sent: an answer shows that the API does not wait for it.
      client.send(`POST ${path} HTTP/1.1\r\nHost: agent\r\n${more}Content-Length: 100\r\n\r\n`);
      assert.match(await client.end(), /^HTTP\/1\.1 403 [^]*\{"detail":"[^"]+"\}$/);
    }
  }
  assert.deepEqual(api.service.calls, []);
});

onApi.test("the API takes one request from another host's certificate", async (api) => {
  using client = await api.talk(worker);
  client.send(get + get);
  assert.equal((await client.end()).match(/HTTP\/1\.1/g)?.length, 1);
  using other = await api.talk(worker);
  other.send("rubbish\r\n\r\n");
  assert.equal(await other.end(), "");
});

onApi.test("the API answers no client without a valid certificate of ca.crt", async (api) => {
  const issue = async (notBefore: number, notAfter: number, usage: "client" | "server") => {
    const { certificatePem, keyPem } = await authority.issue({
      commonName: "decnet-master",
      notBefore: new Date(Date.now() + notBefore),
      notAfter: new Date(Date.now() + notAfter),
      usage,
    });
    return { ...master, certificate: certificatePem, key: keyPem };
  };
  const unmanaged = {
    "no certificate": { authority: authority.certificatePem },
    "one of a rogue authority": rogue,
    "an expired one": await issue(-7_200_000, -60_000, "client"),
    "one that is not valid yet": await issue(3_600_000, 7_200_000, "client"),
    "one for servers only": await issue(-60_000, 60_000, "server"),
  };
  for (const [name, stranger] of Object.entries(unmanaged)) {
    using client = await api.talk(stranger);
    client.send(get);
    assert.equal(await client.end(), "", name);
  }
  // The same certificate as the expired one, but for its dates.
  const { status } = await api.callAs(await issue(-7_200_000, 60_000, "client"), "/health");
  assert.equal(status, 200);
});

Deno.test("the API allows exactly the configured names", async () => {
  await using api = await ApiSetup.start({ allowedNames: ["decnet-master", "backup"] });
  const cases: [name: string, status: number][] = [
    ["decnet-master", 200],
    ["backup", 200],
    ["Backup", 403],
    ["backup ", 403],
    ["backup,decnet-master", 403],
    ["backup\nCN=decnet-master", 403],
    ["", 403],
  ];
  for (const [name, status] of cases) {
    const reply = await api.callAs(await certificatesOf(name), "/health");
    assert.equal(reply.status, status, JSON.stringify(name));
  }
});

Deno.test("the API reads the common name as it stands in the certificate", async () => {
  const root = makeCertificate({ subject: commonNames(["root"]), extensions: [isAuthority] });
  const { certificate, key } = await agentIdentity("the agent");
  const certificates = { authority: root.certificatePem, certificate, key };
  await using api = await ApiSetup.start({
    certificates: { load: () => Promise.resolve({ certificates, problem: null }) },
  });
  const name = "decnet-master";
  const utf8 = 0x0c, printable = 0x13, t61 = 0x14, bmp = 0x1e;
  // In T61, a byte that is not UTF-8: the runtime leaves such a name out.
  const hidden = element(0x14, Uint8Array.of(0xe9));
  const both = element(0x31, attribute(element(utf8, encode(name))), attribute(hidden));
  const cases: [what: string, subject: Uint8Array, status: number][] = [
    ["UTF-8", commonNames([name], utf8), 200],
    ["printable text", commonNames([name], printable), 200],
    ["T61", commonNames([name], t61), 403],
    ["two bytes a letter", commonNames([[...name].join("\0")], bmp), 403],
    ["NUL behind it", commonNames([`${name}\0.evil`]), 403],
    ["a mark before it", commonNames([`\ufeff${name}`]), 403],
    ["another name beside it", element(0x30, both), 403],
    ["another name behind it", commonNames([name, "other"]), 403],
    ["the name twice", commonNames([name, name]), 403],
    ["no name", element(0x30), 403],
  ];
  for (const [what, subject, status] of cases) {
    const { certificatePem, keyPem } = makeCertificate({ subject, signer: root });
    const identity = { ...master, certificate: certificatePem, key: keyPem };
    assert.equal((await api.callAs(identity, "/health")).status, status, what);
  }
  const old = makeCertificate({ version: 1, subject: commonNames([name]), signer: root });
  using client = await api.talk({ certificate: old.certificatePem, key: old.keyPem });
  client.send(get);
  assert.equal(await client.end(), "");
});

Deno.test("the API refuses the authority's own certificate", async () => {
  // The name of the authority is the same.
  const subject = commonNames(["decnet-master"]);
  const root = makeCertificate({ subject, extensions: [isAuthority] });
  const leaf = makeCertificate({ subject, signer: root });
  const [authority, certificate, key] = [root.certificatePem, leaf.certificatePem, leaf.keyPem];
  const identity = { authority, certificate, key };
  await using api = await ApiSetup.start({
    certificates: { load: () => Promise.resolve({ certificates: identity, problem: null }) },
  });
  using client = await api.talk({ certificate: root.certificatePem, key: root.keyPem });
  client.send(get);
  assert.equal(await client.end(), "");
});

onApi.test("the API refuses a certificate as soon as it has expired", async (api) => {
  // Certificates have whole seconds.
  const notAfter = new Date(Math.ceil(Date.now() / 1000 + 1) * 1000);
  const { certificatePem, keyPem } = await authority.issue({
    commonName: "decnet-master",
    usage: "client",
    notAfter,
  });
  using client = await api.talk({ ...master, certificate: certificatePem, key: keyPem });
  client.send(get);
  await client.receive("200 OK");
  while (Date.now() <= notAfter.getTime()) await api.call("/health");
  client.send(get);
  assert.match(await client.end(), /HTTP\/1\.1 403 /);
});

onApi.test("the API speaks no version of TLS before 1.2", async (api) => {
  const alert = 21, handshake = 22;
  assert.equal(await firstRecord(api.port, 0x0302), alert);
  assert.equal(await firstRecord(api.port, 0x0303), handshake);
});

/** The first message of a client that offers this version of TLS. */
function clientHello(version: number): Uint8Array {
  const suites = [0xc009, 0xc00a, 0xc02b, 0xc02c];
  const extensions = [
    ...[10, 4, 2, 23], // The curve P-256,
    ...[13, 6, 4, 0x0403, 0x0203], // ECDSA with SHA-256 and SHA-1.
  ];
  const words = (...values: number[]) => values.flatMap((it) => [it >> 8, it & 255]);
  const body = [
    ...words(version),
    ...new Array(32).fill(7),
    0, // No session,
    ...words(2 * suites.length, ...suites),
    ...[1, 0], // no compression.
    ...words(2 * extensions.length, ...extensions),
  ];
  const message = [1, 0, ...words(body.length), ...body];
  return Uint8Array.of(22, 3, 1, ...words(message.length), ...message);
}

/** The type of the first record that answers a client hello of this version. */
async function firstRecord(port: number, version: number): Promise<number | undefined> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(clientHello(version));
  const answer = new Uint8Array(1);
  const length = await connection.read(answer);
  connection.close();
  return length === 1 ? answer[0] : undefined;
}
