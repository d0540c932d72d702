import assert from "node:assert/strict";
import type { Log } from "../host/log.ts";
import { CertificateFolder } from "../master/certificates.ts";
import { writeAgentDirectory } from "../tests/support/certificates.ts";
import { freePort, TemporaryFolder, until } from "../tests/support/environment.ts";
import { LogListener } from "../tests/support/log_listener.ts";
import { authority, rogueAuthority } from "../tests/support/master_setup.ts";
import { SwallowingProxy } from "../tests/support/swallowing_proxy.ts";
import type { OnSafe } from "./frames.ts";
import { LogSender } from "./sender.ts";

const listenerCertificate = await authority.issue({
  commonName: "decnet-master",
  dnsNames: ["decnet-master"],
  usage: "server",
});
const startListener = (port = 0, certificate = listenerCertificate) =>
  LogListener.start({ authority, certificate, port });

const worker = await authority.issue({ commonName: "worker-1", usage: "client" });

/** Short times for tests; the listener has as long to refuse as it takes here. */
const times = { settle: 300, gather: 5, proof: 60_000, check: 100, leastPause: 20, mostPause: 50 };

/** A sender with its certificates, and what has become of its lines. */
class SenderSetup implements AsyncDisposable {
  readonly folder = new TemporaryFolder();
  readonly logged: string[] = [];
  /** What was logged of connections. */
  readonly connections: string[] = [];
  /** How many lines are safe. */
  safe = 0;
  count = 0;
  readonly sender: LogSender;
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();

  private constructor(
    port: number,
    changes: Partial<typeof times & { answer: number; stall: number }>,
  ) {
    const log: Log = (level, message) => {
      (level === "debug" ? this.connections : this.logged).push(`${level} ${message}`);
    };
    this.sender = new LogSender({
      master: { host: "127.0.0.1", port },
      certificates: new CertificateFolder(this.folder.path),
      log,
      times: { ...times, ...changes },
    });
  }

  static async start(port: number, changes = {}, certificate = worker): Promise<SenderSetup> {
    const setup = new SenderSetup(port, changes);
    await writeAgentDirectory(setup.folder.path, authority, certificate);
    const onSafe: OnSafe = (_, { lines }) => setup.safe = lines;
    setup.#running = setup.sender.run(setup.#stop.signal, onSafe);
    return setup;
  }

  /** Sends so many lines; resolves when all of them are taken. */
  async send(count: number, textOf = (number: number) => `line ${number}`): Promise<void> {
    for (let index = 0; index < count; index++) {
      const bytes = new TextEncoder().encode(textOf(this.count++));
      await this.sender.send(bytes, "a", { timestamp: "", lines: this.count });
    }
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    this.folder[Symbol.dispose]();
  }
}

const numbers = (count: number) => Array.from({ length: count }, (_, number) => number);
const linesOf = (count: number) => numbers(count).map((number) => `line ${number}`);
const rest = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

Deno.test("LogSender sends lines in order, and knows at its end that they came", async () => {
  await using listener = await startListener();
  await using setup = await SenderSetup.start(listener.port);
  await rest(50);
  assert.equal(listener.connectionCount, 0, "it connects only for lines");
  await setup.send(5_000);
  await until(() => listener.lines.length === 5_000);
  assert.deepEqual(listener.lines, linesOf(5_000));
  assert.equal(listener.clientName, "worker-1");
  await rest(times.settle);
  assert.equal(setup.safe, 0);
  await setup.stop();
  assert.equal(setup.safe, 5_000);
  const { sent, problem, waitingSince } = setup.sender.status;
  assert.deepEqual([sent, problem, waitingSince], [5_000, null, null]);
  assert.deepEqual([listener.malformedCount, setup.logged], [0, []]);
  assert.equal(setup.sender.send(new Uint8Array(1), "a", { timestamp: "", lines: 1 }), null);
});

Deno.test("LogSender sends what it has taken before it stops", async () => {
  await using listener = await startListener();
  await using setup = await SenderSetup.start(listener.port, { gather: 500 });
  await setup.send(1);
  await until(() => listener.lines.length === 1);
  await rest(times.settle);
  await setup.send(100);
  await setup.stop();
  assert.deepEqual(listener.lines, linesOf(101));
  assert.equal(setup.safe, 101);
});

Deno.test("L9 LogSender counts what it holds back and cuts", async () => {
  await using listener = await startListener();
  await using setup = await SenderSetup.start(listener.port);
  const texts = ["", "<134>1 - h a - m -", "é".repeat(20_000), "\xff", "€ "];
  await setup.send(texts.length, (number) => texts[number]!);
  await until(() => listener.lines.length === 3);
  assert.deepEqual(listener.lines, ["é".repeat(16_384), "ÿ", "€"]);
  const { sent, heldBack, cut } = setup.sender.status;
  assert.deepEqual([sent, heldBack, cut], [3, 2, 1]);
  await rest(times.settle);
  await setup.stop();
  assert.equal(setup.safe, 5);
});

Deno.test("L4 LogSender has no room while the listener reads nothing", async () => {
  await using listener = await startListener();
  await using proxy = new SwallowingProxy(listener.port);
  await using setup = await SenderSetup.start(proxy.port);
  await setup.send(1);
  await until(() => listener.lines.length === 1);
  proxy.hold();
  const text = "x".repeat(10_000);
  let hasRoom = true;
  const sending = setup.send(3_000, () => text).then(() => hasRoom = false);
  // What the kernels and TLS hold of 30 MB is seldom over 10 MB.
  await rest(1_000);
  assert.ok(hasRoom && setup.count < 2_500, `${setup.count} lines were taken`);
  const { waitingSince } = setup.sender.status;
  assert.ok(waitingSince! > Date.now() - 10_000 && waitingSince! <= Date.now());
  const startedAt = performance.now();
  await setup.stop();
  assert.ok(performance.now() - startedAt < 1_500, "it stops all the same");
  await sending;
  // What is not within the last MiB counts as sent; nothing else is proven.
  assert.ok(setup.safe < setup.count - 100);
});

Deno.test("LogSender goes on when a listener reads again", async () => {
  await using listener = await startListener();
  await using proxy = new SwallowingProxy(listener.port);
  await using setup = await SenderSetup.start(proxy.port);
  await setup.send(1);
  await until(() => listener.lines.length === 1);
  proxy.hold();
  const sending = setup.send(2_999, (number) => `${number} ${"x".repeat(10_000)}`);
  await rest(300);
  proxy.release();
  await sending;
  await until(() => listener.lines.length === 3_000);
  assert.deepEqual(listener.lines.slice(1).map((line) => parseInt(line)), numbers(3_000).slice(1));
  assert.equal(listener.connectionCount, 1);
});

Deno.test("L2 LogSender sends again what a lost connection may have lost", async () => {
  await using listener = await startListener();
  await using setup = await SenderSetup.start(listener.port);
  await setup.send(1_000);
  await until(() => listener.lines.length === 1_000);
  listener.cut();
  await setup.send(1);
  await until(() => listener.lines.length === 2_001);
  assert.deepEqual(listener.lines, [...linesOf(1_000), ...linesOf(1_001)]);
  assert.equal(setup.sender.status.sent, 1_001);
  assert.equal(setup.safe, 0);
});

Deno.test("L2 LogSender starts a frame again that was cut in half", async () => {
  await using listener = await startListener();
  listener.bytesToCut = 5_003;
  await using setup = await SenderSetup.start(listener.port);
  await setup.send(1_000);
  const first = linesOf(1_000).findIndex((_, index) =>
    linesOf(index + 1).map((line) => line.length + String(line.length).length + 1)
      .reduce((sum, length) => sum + length, 0) > 5_003
  );
  await until(() => listener.lines.length === first + 1_000);
  assert.deepEqual(listener.lines, [...linesOf(first), ...linesOf(1_000)]);
  assert.equal(listener.malformedCount, 0);
});

Deno.test("LogSender sends only the last MiB again", async () => {
  await using listener = await startListener();
  await using setup = await SenderSetup.start(listener.port);
  const pad = "x".repeat(1_000);
  await setup.send(10_000, (number) => `${number} ${pad}`);
  await until(() => listener.lines.length === 10_000);
  assert.ok(setup.safe > 8_800, `${setup.safe} lines are safe`);
  listener.cut();
  const again = 10_000 - setup.safe;
  await until(() => listener.lines.length === 10_000 + again);
  assert.equal(parseInt(listener.lines[10_000]!), setup.safe);
});

Deno.test("L1 LogSender loses no line while the listener is gone", async () => {
  const port = freePort();
  await using setup = await SenderSetup.start(port);
  await setup.send(100);
  await until(() => setup.logged.length > 0);
  assert.equal(
    setup.logged[0],
    `error Cannot send log lines to 127.0.0.1:${port}: connection refused; start the log listener ` +
      "on the master, or see syslog-port",
  );
  assert.equal(setup.sender.status.problem, setup.logged[0]!.replace("error ", ""));
  const [one, other] = [await startListener(port), () => startListener(port)];
  await until(() => one.lines.length === 100);
  await until(() => setup.sender.status.problem === null);
  assert.equal(setup.logged.at(-1), "info the master takes log lines again");
  await one.stop();
  await setup.send(100);
  await rest(100);
  await using two = await other();
  await until(() => two.lines.length === 200);
  assert.deepEqual(two.lines, linesOf(200));
});

Deno.test("L1 LogSender takes few lines while nothing listens", async () => {
  await using setup = await SenderSetup.start(freePort());
  const text = "x".repeat(100);
  let isDone = false;
  const sending = setup.send(10_000, () => text).then(() => isDone = true);
  await rest(200);
  assert.ok(!isDone && setup.count < 1_500, `${setup.count} lines were taken`);
  await setup.stop();
  await sending;
  assert.equal(setup.safe, 0);
});

Deno.test("LogSender logs the 1st, 2nd, 4th and 8th failure", async () => {
  await using setup = await SenderSetup.start(freePort(), { leastPause: 5, mostPause: 10 });
  await setup.send(1);
  await until(() => setup.logged.length === 4);
  await setup.stop();
  assert.equal(new Set(setup.logged).size, 1);
});

/** Certificates that a listener refuses after the handshake, as TLS 1.3 does. */
const refused = {
  "of another authority": await rogueAuthority.issue({ commonName: "worker-1", usage: "client" }),
  "for servers only": await authority.issue({ commonName: "worker-1", usage: "server" }),
  "that has expired": await authority.issue({
    commonName: "worker-1",
    notBefore: new Date(Date.now() - 7_200_000),
    notAfter: new Date(Date.now() - 3_600_000),
  }),
  "with the name unknown": await authority.issue({ commonName: "unknown" }),
};

for (const [which, certificate] of Object.entries(refused)) {
  Deno.test(`L3 LogSender does not take a certificate ${which} for success`, async () => {
    await using listener = await startListener();
    await using setup = await SenderSetup.start(listener.port, {}, certificate);
    await setup.send(10);
    await until(() => setup.logged.length >= 2);
    assert.match(setup.sender.status.problem!, /it closed the connection after the handshake; it /);
    // Also an end of the agent's own proves nothing then.
    await setup.stop();
    assert.deepEqual([listener.lines, setup.safe], [[], 0]);
    assert.ok(!setup.logged.some((line) => line.startsWith("info")), setup.logged.join("\n"));
  });
}

Deno.test("LogSender sends all when the listener accepts worker.crt again", async () => {
  await using listener = await startListener();
  listener.refuses = true;
  await using setup = await SenderSetup.start(listener.port);
  await setup.send(10);
  await until(() => listener.connectionCount >= 3);
  listener.refuses = false;
  await until(() => listener.lines.length === 10);
  await until(() => setup.logged.at(-1) === "info the master takes log lines again");
  assert.equal(setup.safe, 0);
});

Deno.test("L3 LogSender takes no early end for a proof", async () => {
  await using listener = await startListener();
  await using setup = await SenderSetup.start(listener.port, { settle: 60_000 });
  await setup.send(10);
  await until(() => listener.lines.length === 10);
  await setup.stop();
  assert.equal(setup.safe, 0);
});

Deno.test("LogSender ends a quiet connection, which proves its lines", async () => {
  await using listener = await startListener();
  await using setup = await SenderSetup.start(listener.port, { proof: 400 });
  await setup.send(10);
  await until(() => setup.safe === 10);
  await until(() => listener.openConnections === 0);
  await rest(100);
  assert.deepEqual([listener.connectionCount, setup.logged], [1, []]);
  await setup.send(10);
  await until(() => setup.safe === 20);
  assert.deepEqual([listener.connectionCount, listener.lines], [2, linesOf(20)]);
  const lines = ["connected to", "disconnected from"].map((it) => `debug ${it} the log listener`);
  assert.deepEqual(setup.connections.slice(0, 2), lines);
});

Deno.test("LogSender proves its lines on a connection that is never quiet", async () => {
  await using listener = await startListener();
  await using setup = await SenderSetup.start(listener.port, { proof: 600 });
  const startedAt = performance.now();
  for (; setup.safe === 0; await rest(20)) {
    await setup.send(1);
    assert.ok(performance.now() - startedAt < 10_000, "no line is safe");
  }
  await until(() => listener.lines.length === setup.count);
  assert.deepEqual([listener.lines, setup.logged], [linesOf(setup.count), []]);
});

Deno.test("L5 LogSender proves nothing by an end that has no answer", async () => {
  await using listener = await startListener();
  await using proxy = new SwallowingProxy(listener.port);
  await using setup = await SenderSetup.start(proxy.port, { proof: 600, answer: 300 });
  await setup.send(10);
  await until(() => listener.lines.length === 10);
  proxy.swallow();
  await until(() => listener.lines.length === 20);
  assert.deepEqual(listener.lines, [...linesOf(10), ...linesOf(10)]);
  await until(() => setup.safe === 10);
  assert.match(setup.logged[0]!, /no answer within 0.3 s/);
});

Deno.test("L6 LogSender connects again with renewed certificates", async () => {
  await using listener = await startListener();
  await using setup = await SenderSetup.start(listener.port);
  await setup.send(10);
  await until(() => listener.lines.length === 10);
  const renewed = await authority.issue({ commonName: "worker-2", usage: "client" });
  await writeAgentDirectory(setup.folder.path, authority, renewed);
  await until(() => setup.safe === 10);
  await setup.send(10);
  await until(() => listener.lines.length === 20);
  assert.deepEqual(listener.lines, linesOf(20));
  assert.deepEqual([listener.clientName, setup.logged], ["worker-2", []]);
});

/** Listeners that are not the master's, and what is reported. */
const untrusted = {
  "of another host": {
    certificate: await authority.issue({ commonName: "worker-2", dnsNames: ["worker-2"] }),
    problem: /its certificate does not have the name decnet-master; see syslog-port$/,
  },
  "of another authority": {
    certificate: await rogueAuthority.issue({
      commonName: "decnet-master",
      dnsNames: ["decnet-master"],
    }),
    problem: /is not signed by ca.crt/,
  },
  "for clients only": {
    certificate: await authority.issue({
      commonName: "decnet-master",
      dnsNames: ["decnet-master"],
      usage: "client",
    }),
    problem: /not fit for a server/,
  },
};

for (const [which, { certificate, problem }] of Object.entries(untrusted)) {
  Deno.test(`L7 LogSender sends nothing to a listener ${which}`, async () => {
    await using listener = await startListener(0, certificate);
    await using setup = await SenderSetup.start(listener.port);
    await setup.send(10);
    await until(() => setup.logged.length >= 2);
    assert.match(setup.sender.status.problem!, problem);
    await setup.stop();
    assert.deepEqual([listener.lines, setup.safe], [[], 0]);
  });
}

Deno.test("L8 LogSender waits for certificates that are missing", async () => {
  await using listener = await startListener();
  await using setup = await SenderSetup.start(listener.port);
  await Deno.remove(`${setup.folder.path}/worker.key`);
  await setup.send(10);
  await until(() => setup.logged.length > 0);
  assert.match(setup.sender.status.problem!, /Cannot use .*worker.key: no such file/);
  await writeAgentDirectory(setup.folder.path, authority, worker);
  await until(() => listener.lines.length === 10);
});

Deno.test("L4 LogSender leaves a listener that takes nothing for too long", async () => {
  await using listener = await startListener();
  await using proxy = new SwallowingProxy(listener.port);
  await using setup = await SenderSetup.start(proxy.port, { stall: 500 });
  await setup.send(1);
  await until(() => listener.lines.length === 1);
  proxy.hold();
  const sending = setup.send(2_999, (number) => `${number} ${"x".repeat(10_000)}`);
  await until(() => setup.logged.length > 0);
  assert.match(setup.logged[0]!, /no answer within 0.5 s/);
  proxy.release();
  await sending;
  await until(() => listener.lines.at(-1)?.startsWith("2999 "));
});

Deno.test("L6 LogSender connects again with renewed certificates in a flood", async () => {
  await using listener = await startListener();
  await using setup = await SenderSetup.start(listener.port, { answer: 1_000 });
  let isFlooding = true;
  const flood = (async () => {
    while (isFlooding) await setup.send(100, (number) => `line ${number}`);
  })();
  await until(() => setup.sender.status.sent > 1_000);
  const renewed = await authority.issue({ commonName: "worker-2", usage: "client" });
  await writeAgentDirectory(setup.folder.path, authority, renewed);
  await until(() => listener.clientName === "worker-2");
  isFlooding = false;
  await flood;
  await until(() => listener.lines.length >= setup.count);
  assert.deepEqual(listener.lines, linesOf(setup.count));
  assert.deepEqual(setup.logged, []);
});

Deno.test("L3 LogSender keeps all that a late refusal may have lost", async () => {
  await using listener = await startListener();
  listener.refuses = true;
  listener.refusesAfterMs = 500;
  await using setup = await SenderSetup.start(listener.port, { settle: 1_000 });
  const pad = "x".repeat(1_000);
  const sending = setup.send(5_000, (number) => `${number} ${pad}`);
  await until(() => setup.logged.length > 0);
  assert.match(setup.logged[0]!, /closed the connection after the handshake/);
  assert.equal(setup.safe, 0);
  listener.refuses = false;
  await sending;
  await until(() => listener.lines.length === 5_000);
  assert.deepEqual(listener.lines.map((line) => parseInt(line)), numbers(5_000));
});
