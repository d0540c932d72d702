import assert from "node:assert/strict";
import type { Log } from "../host/log.ts";
import { CertificateFolder } from "../master/certificates.ts";
import { writeAgentDirectory } from "../tests/support/certificates.ts";
import { freePort, TemporaryFolder, until } from "../tests/support/environment.ts";
import { LogListener } from "../tests/support/log_listener.ts";
import { authority, rogueAuthority } from "../tests/support/master_setup.ts";
import { SwallowingProxy } from "../tests/support/swallowing_proxy.ts";
import { LogSender } from "./sender.ts";

const worker = await authority.issue({ commonName: "worker-1", usage: "client" });

/** Short times for tests; the listener has as long to refuse as it takes here. */
const times = { settle: 300, gather: 5, proof: 60_000, check: 100, leastPause: 20, mostPause: 50 };

/** How a sender is started; with a listener, unless a port is given. */
interface SetupOptions {
  readonly port?: number;
  readonly times?: Partial<typeof times & { answer: number; stall: number }>;
  readonly certificate?: typeof worker;
  readonly listenerCertificate?: typeof worker;
}

/** A sender, its listener with a proxy before it, and what has become of its lines. */
class SenderSetup implements AsyncDisposable {
  readonly folder = new TemporaryFolder();
  readonly logged: string[] = [];
  /** What was logged of connections. */
  readonly connections: string[] = [];
  /** How many lines are safe. */
  safe = 0;
  count = 0;
  sender!: LogSender;
  listener!: LogListener;
  proxy!: SwallowingProxy;
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();

  static async start(options: SetupOptions = {}): Promise<SenderSetup> {
    const setup = new SenderSetup();
    const { listenerCertificate: certificate } = options;
    setup.listener = await LogListener.start({ authority, ...(certificate && { certificate }) });
    setup.proxy = new SwallowingProxy(setup.listener.port);
    const log: Log = (level, message) => {
      (level === "debug" ? setup.connections : setup.logged).push(`${level} ${message}`);
    };
    setup.sender = new LogSender({
      master: { host: "127.0.0.1", port: options.port ?? setup.proxy.port },
      certificates: new CertificateFolder(setup.folder.path),
      log,
      times: { ...times, ...options.times },
    });
    await writeAgentDirectory(setup.folder.path, authority, options.certificate ?? worker);
    setup.#running = setup.sender.run(setup.#stop.signal, (_, { lines }) => setup.safe = lines);
    return setup;
  }

  /** Sends so many lines; resolves when there is room again. */
  async send(count: number, textOf = (number: number) => `line ${number}`): Promise<void> {
    for (let index = 0; index < count; index++) {
      const bytes = new TextEncoder().encode(textOf(this.count++));
      await this.sender.send(bytes, "a", { timestamp: "", lines: this.count });
    }
  }

  /** Waits until the listener has so many lines. */
  async untilLines(count: number): Promise<void> {
    await until(() => this.listener.lines.length === count, { what: `${count} lines` });
  }

  /** Lets a listener that has one line read no more, and sends so many that there is no room. */
  async sendUnread(count: number): Promise<{ sending: Promise<void> }> {
    await this.send(1, String);
    await this.untilLines(1);
    this.proxy.hold();
    return { sending: this.send(count - 1, (number) => `${number} ${"x".repeat(10_000)}`) };
  }

  /** Replaces the certificates of the agent. */
  async renew(): Promise<void> {
    const renewed = await authority.issue({ commonName: "worker-2", usage: "client" });
    await writeAgentDirectory(this.folder.path, authority, renewed);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.proxy[Symbol.asyncDispose]();
    await this.listener.stop();
    this.folder[Symbol.dispose]();
  }
}

const numbers = (count: number) => Array.from({ length: count }, (_, number) => number);
const linesOf = (count: number) => numbers(count).map((number) => `line ${number}`);
const rest = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

Deno.test("LogSender sends lines in order, and knows at its end that they came", async () => {
  await using setup = await SenderSetup.start();
  const { listener, sender } = setup;
  await rest(50);
  assert.equal(listener.connectionCount, 0, "it connects only for lines");
  await setup.send(5_000);
  await setup.untilLines(5_000);
  assert.deepEqual(listener.lines, linesOf(5_000));
  assert.equal(listener.clientName, "worker-1");
  await rest(times.settle);
  assert.equal(setup.safe, 0);
  await setup.stop();
  assert.equal(setup.safe, 5_000);
  const { sent, problem, waitingSince } = sender.status;
  assert.deepEqual([sent, problem, waitingSince], [5_000, null, null]);
  assert.deepEqual([listener.malformedCount, setup.logged], [0, []]);
  assert.equal(sender.send(new Uint8Array(1), "a", { timestamp: "", lines: 1 }), null);
});

Deno.test("LogSender sends what it has taken before it stops", async () => {
  await using setup = await SenderSetup.start({ times: { gather: 500 } });
  await setup.send(1);
  await setup.untilLines(1);
  await rest(times.settle);
  await setup.send(100);
  await setup.stop();
  assert.deepEqual(setup.listener.lines, linesOf(101));
  assert.equal(setup.safe, 101);
});

Deno.test("L9 LogSender counts what it holds back and cuts", async () => {
  await using setup = await SenderSetup.start();
  const texts = ["", "<134>1 - h a - m -", "é".repeat(20_000), "\xff", "€ "];
  await setup.send(texts.length, (number) => texts[number]!);
  await setup.untilLines(3);
  assert.deepEqual(setup.listener.lines, ["é".repeat(16_384), "ÿ", "€"]);
  const { sent, heldBack, cut } = setup.sender.status;
  assert.deepEqual([sent, heldBack, cut], [3, 2, 1]);
  await rest(times.settle);
  await setup.stop();
  assert.equal(setup.safe, 5);
});

Deno.test("L4 LogSender has no room while the listener reads nothing", async () => {
  await using setup = await SenderSetup.start();
  const { sending } = await setup.sendUnread(3_000);
  // What the kernels and TLS hold of 30 MB is seldom over 10 MB.
  await rest(1_000);
  assert.ok(setup.count < 2_500, `${setup.count} lines were taken`);
  const { waitingSince } = setup.sender.status;
  assert.ok(waitingSince! > Date.now() - 10_000 && waitingSince! <= Date.now());
  const startedAt = performance.now();
  await setup.stop();
  assert.ok(performance.now() - startedAt < 1_500, "it stops all the same");
  await sending;
  // What is not within the last MiB counts as sent; nothing else is proven.
  assert.ok(setup.safe < setup.count - 100);
});

Deno.test("L4 LogSender goes on when a listener reads again", async () => {
  await using setup = await SenderSetup.start();
  const { sending } = await setup.sendUnread(3_000);
  await rest(300);
  setup.proxy.release();
  await sending;
  await setup.untilLines(3_000);
  assert.deepEqual(setup.listener.lines.map((line) => parseInt(line)), numbers(3_000));
  assert.equal(setup.listener.connectionCount, 1);
});

Deno.test("L4 LogSender leaves a listener that takes nothing for too long", async () => {
  await using setup = await SenderSetup.start({ times: { stall: 500 } });
  const { sending } = await setup.sendUnread(3_000);
  await until(() => setup.logged.length > 0);
  assert.match(setup.logged[0]!, /no answer within 0.5 s/);
  setup.proxy.release();
  await sending;
  await until(() => setup.listener.lines.at(-1)?.startsWith("2999 "));
});

Deno.test("L2 LogSender sends again what a lost connection may have lost", async () => {
  await using setup = await SenderSetup.start();
  await setup.send(1_000);
  await setup.untilLines(1_000);
  setup.listener.cut();
  await setup.send(1);
  await setup.untilLines(2_001);
  assert.deepEqual(setup.listener.lines, [...linesOf(1_000), ...linesOf(1_001)]);
  assert.equal(setup.sender.status.sent, 1_001);
  assert.equal(setup.safe, 0);
});

Deno.test("L2 LogSender starts a frame again that was cut in half", async () => {
  await using setup = await SenderSetup.start();
  // Each frame has 1,005 bytes.
  setup.listener.bytesToCut = 5 * 1_005 + 500;
  await setup.send(1_000, (number) => String(number).padEnd(1_000, "y"));
  await setup.untilLines(5 + 1_000);
  const sent = setup.listener.lines.map((line) => parseInt(line));
  assert.deepEqual(sent, [...numbers(5), ...numbers(1_000)]);
  assert.equal(setup.listener.malformedCount, 0);
});

Deno.test("L1 LogSender loses no line while the listener is gone, and takes few", async () => {
  const port = freePort();
  await using setup = await SenderSetup.start({ port });
  const sending = setup.send(3_000, (number) => String(number).padEnd(100, "y"));
  await until(() => setup.logged.length > 0);
  assert.equal(
    setup.logged[0],
    `error Cannot send log lines to 127.0.0.1:${port}: connection refused; start the log listener ` +
      "on the master, or see syslog-port",
  );
  assert.equal(setup.sender.status.problem, setup.logged[0]!.replace("error ", ""));
  assert.ok(setup.count < 1_500, `${setup.count} lines were taken`);
  await using listener = await LogListener.start({ authority, port });
  await sending;
  await until(() => listener.lines.length === 3_000);
  await until(() => setup.sender.status.problem === null);
  assert.equal(setup.logged.at(-1), "info the master takes log lines again");
  await listener.stop();
  const last = setup.send(1, String);
  await rest(100);
  await listener.listen();
  await last;
  // What was sent last is sent again.
  await until(() => listener.lines.at(-1) === "3000");
  assert.deepEqual([...new Set(listener.lines.map((line) => parseInt(line)))], numbers(3_001));
});

Deno.test("L1 LogSender takes no blank lines either while there is no room", async () => {
  await using setup = await SenderSetup.start({ port: freePort() });
  const blank = () => setup.sender.send(new Uint8Array(), "b", { timestamp: "", lines: 1 });
  assert.equal(blank(), null);
  const sending = setup.send(3_000, (number) => String(number).padEnd(100, "y"));
  await until(() => setup.logged.length > 0);
  assert.notEqual(blank(), null);
  await setup.stop();
  await sending;
});

Deno.test("LogSender logs the 1st, 2nd, 4th and 8th failure", async () => {
  const pauses = { leastPause: 5, mostPause: 10 };
  await using setup = await SenderSetup.start({ port: freePort(), times: pauses });
  await setup.send(1);
  await until(() => setup.logged.length === 4);
  await setup.stop();
  assert.equal(new Set(setup.logged).size, 1);
});

Deno.test("L3 LogSender takes no refused certificate for success", async () => {
  // As TLS 1.3 does, the listener refuses it after the handshake.
  const certificate = await rogueAuthority.issue({ commonName: "worker-1", usage: "client" });
  await using setup = await SenderSetup.start({ certificate });
  await setup.send(10);
  await until(() => setup.logged.length >= 2);
  assert.match(setup.sender.status.problem!, /it closed the connection after the handshake; it /);
  // Also an end of the agent's own proves nothing then.
  await setup.stop();
  assert.deepEqual([setup.listener.lines, setup.safe], [[], 0]);
  assert.ok(!setup.logged.some((line) => line.startsWith("info")), setup.logged.join("\n"));
});

Deno.test("L3 LogSender keeps all that a late refusal may have lost", async () => {
  await using setup = await SenderSetup.start({ times: { settle: 1_000 } });
  const { listener } = setup;
  listener.refuses = true;
  listener.refusesAfterMs = 500;
  const sending = setup.send(5_000, (number) => `${number} ${"x".repeat(1_000)}`);
  await until(() => setup.logged.length > 0);
  assert.match(setup.logged[0]!, /closed the connection after the handshake/);
  assert.equal(setup.safe, 0);
  listener.refuses = false;
  await sending;
  await setup.untilLines(5_000);
  assert.deepEqual(listener.lines.map((line) => parseInt(line)), numbers(5_000));
  await until(() => setup.logged.at(-1) === "info the master takes log lines again");
});

Deno.test("L3 LogSender takes no early end for a proof", async () => {
  await using setup = await SenderSetup.start({ times: { settle: 60_000 } });
  await setup.send(10);
  await setup.untilLines(10);
  await setup.stop();
  assert.equal(setup.safe, 0);
});

Deno.test("LogSender ends a quiet connection, which proves its lines", async () => {
  await using setup = await SenderSetup.start({ times: { proof: 400 } });
  const { listener } = setup;
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
  await using setup = await SenderSetup.start({ times: { proof: 600 } });
  const startedAt = performance.now();
  for (; setup.safe === 0; await rest(20)) {
    await setup.send(1);
    assert.ok(performance.now() - startedAt < 10_000, "no line is safe");
  }
  await setup.untilLines(setup.count);
  assert.deepEqual([setup.listener.lines, setup.logged], [linesOf(setup.count), []]);
});

Deno.test("L5 LogSender proves nothing by an end that has no answer", async () => {
  await using setup = await SenderSetup.start({ times: { proof: 600, answer: 300 } });
  await setup.send(10);
  await setup.untilLines(10);
  setup.proxy.swallow();
  await setup.untilLines(20);
  assert.deepEqual(setup.listener.lines, [...linesOf(10), ...linesOf(10)]);
  await until(() => setup.safe === 10);
  assert.match(setup.logged[0]!, /no answer within 0.3 s/);
});

Deno.test("L6 LogSender connects again with renewed certificates in a flood", async () => {
  await using setup = await SenderSetup.start({ times: { answer: 1_000 } });
  let isFlooding = true;
  const flood = (async () => {
    while (isFlooding) await setup.send(100);
  })();
  await until(() => setup.sender.status.sent > 1_000);
  await setup.renew();
  await until(() => setup.listener.clientName === "worker-2");
  isFlooding = false;
  await flood;
  assert.ok(setup.safe > 0);
  await setup.untilLines(setup.count);
  assert.deepEqual(setup.listener.lines, linesOf(setup.count));
  assert.deepEqual(setup.logged, []);
});

const named = { commonName: "decnet-master", dnsNames: ["decnet-master"] };
/** Listeners that are not the master's, and what is reported. */
const untrusted = {
  "of another host": {
    certificate: await authority.issue({ commonName: "worker-2", dnsNames: ["worker-2"] }),
    problem: /its certificate does not have the name decnet-master; see syslog-port$/,
  },
  "of another authority": {
    certificate: await rogueAuthority.issue(named),
    problem: /is not signed by ca.crt/,
  },
  "for clients only": {
    certificate: await authority.issue({ ...named, usage: "client" }),
    problem: /not fit for a server/,
  },
};

for (const [which, { certificate, problem }] of Object.entries(untrusted)) {
  Deno.test(`L7 LogSender sends nothing to a listener ${which}`, async () => {
    await using setup = await SenderSetup.start({ listenerCertificate: certificate });
    await setup.send(10);
    await until(() => setup.logged.length >= 2);
    assert.match(setup.sender.status.problem!, problem);
    await setup.stop();
    assert.deepEqual([setup.listener.lines, setup.safe], [[], 0]);
  });
}

Deno.test("L8 LogSender waits for certificates that are missing", async () => {
  await using setup = await SenderSetup.start();
  await Deno.remove(`${setup.folder.path}/worker.key`);
  await setup.send(10);
  await until(() => setup.logged.length > 0);
  assert.match(setup.sender.status.problem!, /Cannot use .*worker.key: no such file/);
  await writeAgentDirectory(setup.folder.path, authority, worker);
  await setup.untilLines(10);
});
