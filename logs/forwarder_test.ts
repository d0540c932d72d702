import assert from "node:assert/strict";
import { readContainers } from "../docker/lists.ts";
import type { Log } from "../host/log.ts";
import { TemporaryFolder, until } from "../tests/support/environment.ts";
import { FakeEngine } from "../tests/support/engine/fake_engine.ts";
import { lineFrames, timestampAt } from "../tests/support/engine/logs.ts";
import { container, type ContainerItem, imageIdOf } from "../tests/support/engine/state.ts";
import { TestClock } from "../tests/support/test_clock.ts";
import { TestSink } from "../tests/support/test_sink.ts";
import { isForwarded, LogForwarder } from "./forwarder.ts";
import { PositionStore } from "./positions.ts";

const id8 = "7c9e6679";
const labels = {
  "decnet.topology.id": `${id8}-0000`,
  "decnet.topology.service": "true",
  "decnet.topology.image": imageIdOf("busybox:latest"),
};

/** A service container of a topology. */
function service(name: string, more: Partial<Parameters<typeof container>[0]> = {}): ContainerItem {
  return container({ name: `decnet_t_${id8}_${name}`, labels, ...more });
}

/** A forwarder with its engine and sink. */
class Setup implements AsyncDisposable {
  readonly #folder = new TemporaryFolder();
  readonly sink = new TestSink();
  readonly web = service("web-http");
  readonly logged: string[] = [];
  engine!: FakeEngine;
  forwarder!: LogForwarder;
  #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();

  /** Starts one that follows `web`, or others. */
  static async start(containers?: ContainerItem[], maximumFollowed = 500): Promise<Setup> {
    const setup = new Setup();
    setup.engine = await FakeEngine.start(`${setup.#folder.path}/docker.sock`);
    setup.engine.containers = containers ?? [setup.web];
    setup.startForwarder(maximumFollowed);
    return setup;
  }

  startForwarder(maximumFollowed = 500): void {
    const log: Log = (level, message, { container } = {}) => {
      if (level === "debug") return;
      this.logged.push(`${level}: ${message}${container === undefined ? "" : ` (${container})`}`);
    };
    this.#stop = new AbortController();
    this.forwarder = new LogForwarder({
      path: `${this.#folder.path}/logs.db`,
      sink: this.sink,
      log,
      maximumFollowed,
    });
    this.#running = this.forwarder.run(this.#stop.signal, [
      this.engine.socketPath,
      "/nonexistent/docker.sock",
    ]);
    this.note();
  }

  /** Lets the engine list other containers, and tells the forwarder. */
  list(...containers: ContainerItem[]): void {
    this.engine.containers = containers;
    this.note();
  }

  /** Tells the forwarder what the engine lists. */
  note(): void {
    this.forwarder.note(readContainers(this.engine.containers));
  }

  /** Waits until the sink has so many lines. */
  async untilLines(count: number): Promise<void> {
    await until(() => this.sink.lines.length >= count, { what: `${count} lines` });
  }

  async stopForwarder(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopForwarder();
    await this.engine.stop();
    this.#folder[Symbol.dispose]();
  }
}

Deno.test("isForwarded() selects the services of topologies", () => {
  const selected = (item: ContainerItem) => isForwarded(readContainers([item])[0]!);
  assert.equal(selected(service("web-http")), true);
  assert.equal(selected(service("web-http", { state: "exited" })), true);
  const others = [
    service("web-http", { state: "created" }),
    service("web", { labels: { ...labels, "decnet.topology.service": "True" } }),
    service("web", { labels: { "decnet.topology.id": labels["decnet.topology.id"] } }),
    // A copy by docker commit, and one with another name.
    service("web-http", { image: "copy:latest" }),
    container({ name: "web-http", labels }),
    container({ name: `decnet_t_${id8}_x`, labels: { "decnet.topology.service": "true" } }),
  ];
  for (const item of others) assert.equal(selected(item), false, item.Names[0]);
});

Deno.test("LogForwarder sends the lines of services, each once and in order", async () => {
  const [web, ftp, other] = [service("web-http"), service("web-ftp"), container({ name: "other" })];
  await using setup = await Setup.start([web, ftp, other]);
  const { engine, sink } = setup;
  for (const item of [web, ftp, other]) engine.logs.print(item.Id, `${item.Names[0]} 1\n`);
  await setup.untilLines(2);
  for (const item of [web, ftp, other]) engine.logs.print(item.Id, `${item.Names[0]} 2\n`);
  await setup.untilLines(4);
  for (const { Names: [name] } of [web, ftp]) {
    assert.deepEqual(sink.lines.filter((line) => line.startsWith(name!)), [
      `${name} 1`,
      `${name} 2`,
    ]);
  }
  assert.equal(sink.lines.length, 4);
  assert.deepEqual([...new Set(engine.logs.followed)].sort(), [web.Id, ftp.Id].sort());
  assert.deepEqual(setup.logged, []);
});

Deno.test("LogForwarder goes on after a restart from what was safe", async () => {
  await using setup = await Setup.start();
  const { engine, sink, web } = setup;
  const at = timestampAt(Date.now());
  for (const line of ["1\n", "2\n"]) engine.logs.print(web.Id, line, at);
  await setup.untilLines(2);
  sink.isSafe = false;
  engine.logs.print(web.Id, "3\n", at);
  await setup.untilLines(3);
  await setup.stopForwarder();
  sink.isSafe = true;
  setup.startForwarder();
  await setup.untilLines(4);
  engine.logs.print(web.Id, "4\n");
  await setup.untilLines(5);
  assert.deepEqual(sink.lines, ["1", "2", "3", "3", "4"]);
});

Deno.test("LogForwarder reads the log of a container that has ended, once", async () => {
  const web = service("web-http", { state: "exited" });
  await using setup = await Setup.start([web]);
  const { engine, sink } = setup;
  await until(() => engine.requestCount === 1 && engine.logs.followed.length === 0);
  setup.note();
  engine.logs.print(web.Id, "1\n", timestampAt(Date.now() - 1_000));
  engine.logs.print(web.Id, "tail", timestampAt(Date.now()));
  // It ran meanwhile.
  setup.list({ ...web, State: "running" });
  setup.list(web);
  await setup.untilLines(2);
  assert.deepEqual(sink.lines, ["1", "tail"]);
  const { requestCount } = engine;
  await new Promise((resolve) => setTimeout(resolve, 3_500));
  assert.equal(engine.requestCount, requestCount);
});

Deno.test("L14 LogForwarder opens a log again that was cut", async () => {
  await using setup = await Setup.start();
  const { engine, sink, web } = setup;
  for (const line of ["1", "2", "3"]) {
    engine.logs.print(web.Id, `${line}\n`);
    await setup.untilLines(Number(line));
    engine.logs.end();
    await until(() => engine.logs.followed.length === 0);
  }
  assert.deepEqual(sink.lines, ["1", "2", "3"]);
});

Deno.test("LogForwarder closes all logs while the sink is full, and loses nothing", async () => {
  const items = ["a", "b", "c"].map((name) => service(name));
  await using setup = await Setup.start(items);
  const { engine, sink } = setup;
  sink.room = 4;
  const print = (line: number) => {
    for (const { Id, Names: [name] } of items) engine.logs.print(Id, `${name!.at(-1)}${line}\n`);
  };
  for (let line = 10; line < 20; line++) print(line);
  await until(() => engine.logs.followed.length === 3);
  await until(() => engine.logs.followed.length === 0, { what: "closed logs" });
  assert.equal(sink.lines.length, 4);
  for (let line = 20; line < 30; line++) print(line);
  sink.drain();
  await setup.untilLines(60);
  for (const name of ["a", "b", "c"]) {
    const expected = Array.from({ length: 20 }, (_, index) => `${name}${10 + index}`);
    assert.deepEqual(sink.lines.filter((line) => line.startsWith(name)), expected);
  }
  await until(() => setup.forwarder.status.behindSince === null);
});

Deno.test("LogForwarder gives each container its share beside one that floods", async () => {
  const items = Array.from({ length: 20 }, (_, index) => service(`calm-${index}`));
  const loud = service("loud");
  await using setup = await Setup.start([loud, ...items]);
  const { engine, sink } = setup;
  await until(() => engine.logs.followed.length === 21);
  sink.room = 1;
  for (let line = 0; line < 3_000; line++) engine.logs.print(loud.Id, `${"x".repeat(1_000)}\n`);
  await setup.untilLines(1);
  for (const { Id } of items) engine.logs.print(Id, "calm\n");
  await new Promise((resolve) => setTimeout(resolve, 300));
  const before = sink.lines.length;
  sink.drain();
  await setup.untilLines(3_020);
  const last = sink.lines.lastIndexOf("calm");
  assert.ok(last - before < 100, `the last calm line is number ${last - before}`);
});

Deno.test("L15 LogForwarder reads in turn where there are more than it follows", async () => {
  const items = Array.from({ length: 4 }, (_, index) => service(`s-${index}`));
  await using setup = await Setup.start(items, 2);
  const { engine, sink } = setup;
  for (const { Id, Names: [name] } of items) engine.logs.print(Id, `${name} 1\n`);
  await setup.untilLines(4);
  for (const { Id, Names: [name] } of items) engine.logs.print(Id, `${name} 2\n`);
  await setup.untilLines(8);
  assert.equal(new Set(sink.lines).size, 8);
  assert.ok(engine.logs.followed.length <= 2);
});

Deno.test("LogForwarder lets timers run while many containers flood", async () => {
  const items = Array.from({ length: 50 }, (_, index) => service(`loud-${index}`));
  await using setup = await Setup.start(items);
  const { engine, sink } = setup;
  await until(() => engine.logs.followed.length === 50);
  sink.workMs = 0.1;
  let [longest, last] = [0, performance.now()];
  const timer = setInterval(() => {
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  }, 5);
  // All have a full buffer at the same time.
  const bytes = new Uint8Array(
    await new Blob(Array.from({ length: 380 }, () => lineFrames(timestampAt(0), "yes\n")).flat())
      .arrayBuffer(),
  );
  for (const { Id } of items) engine.logs.write(Id, bytes);
  const startedAt = performance.now();
  await setup.untilLines(50 * 380);
  clearInterval(timer);
  // On a busy machine everything takes longer.
  const allowed = Math.max(500, (performance.now() - startedAt) / 4);
  assert.ok(longest < allowed, `a timer was ${longest} ms late, of ${4 * allowed} ms in all`);
});

Deno.test("L14 LogForwarder reports a log that cannot be read, once", async () => {
  const web = service("web-http");
  await using setup = await Setup.start([]);
  const { engine } = setup;
  engine.fault = { kind: "status", status: 501, message: "the driver cannot be read" };
  setup.list(web);
  await until(() => engine.requestCount >= 2);
  const text =
    "Cannot read the log of a container: GET /containers/ID/logs was answered with 501 " +
    "(the driver cannot be read)";
  assert.deepEqual(setup.logged, [`error: ${text} (${web.Id.slice(0, 12)})`]);
  assert.equal(setup.forwarder.status.problem, text);
});

Deno.test("L14 LogForwarder waits for an engine that has no socket", async () => {
  const [web, ftp] = [service("web-http"), service("web-ftp")];
  await using setup = await Setup.start([], 2);
  const { socketPath } = setup.engine;
  await setup.engine.stop();
  setup.forwarder.note(readContainers([web, ftp]));
  setup.engine = await FakeEngine.start(socketPath);
  setup.engine.containers = [web, ftp];
  for (const { Id } of [web, ftp]) setup.engine.logs.print(Id, "line\n");
  await setup.untilLines(2);
  assert.match(setup.logged[0]!, /^error: Cannot read the log of a container: Cannot find Docker/);
});

const [second, hour] = [1_000, 3_600_000];
/** How far the clock is set back, and what it shows later, by the time that it is. */
const clocks = [
  { what: "by a second", setBackMs: second, laterMs: 2 * second },
  { what: "by an hour", setBackMs: hour, laterMs: -hour + 2 * second },
  { what: "by half an hour, and forward", setBackMs: hour / 2, laterMs: 2 * second },
  { what: "while it runs", setBackMs: 2 * hour, laterMs: 2 * second, isRunning: true },
];

for (const { what, setBackMs, laterMs, isRunning } of clocks) {
  Deno.test(`L16 LogForwarder misses no line of a clock set back ${what}`, async () => {
    using clock = new TestClock();
    await using setup = await Setup.start();
    const { engine, sink, web } = setup;
    for (const line of ["1", "2"]) engine.logs.print(web.Id, `${line}\n`);
    await setup.untilLines(2);
    if (isRunning) {
      // The sink has no room, so that no log is open.
      sink.room = 1;
      engine.logs.print(web.Id, "3\n");
      await setup.untilLines(3);
      await until(() => engine.logs.followed.length === 0);
    } else {
      await setup.stopForwarder();
      engine.logs.print(web.Id, "3\n");
    }
    clock.set(-setBackMs);
    for (const line of ["4", "5"]) engine.logs.print(web.Id, `${line}\n`, timestampAt(Date.now()));
    if (isRunning) await new Promise((resolve) => setTimeout(resolve, 1_500));
    clock.set(laterMs);
    engine.logs.print(web.Id, "6\n", timestampAt(Date.now()));
    if (isRunning) sink.drain();
    else setup.startForwarder();
    await until(() => sink.lines.includes("6"), { what: `6 in ${sink.lines}` });
    assert.deepEqual([...new Set(sink.lines)].sort(), ["1", "2", "3", "4", "5", "6"]);
  });
}

Deno.test("L12 L16 LogForwarder goes on behind a gap, and counts it", async () => {
  using clock = new TestClock();
  await using setup = await Setup.start();
  const { engine, sink, web } = setup;
  engine.logs.print(web.Id, "1\n");
  await setup.untilLines(1);
  await setup.stopForwarder();
  engine.logs.rotate(web.Id);
  for (
    const [line, byMs] of [["2", -hour / 2], ["3", -hour / 2 + second], ["4", second]] as const
  ) {
    clock.set(byMs);
    engine.logs.print(web.Id, `${line}\n`, timestampAt(Date.now()));
  }
  setup.startForwarder();
  await setup.untilLines(4);
  assert.deepEqual([sink.lines, setup.forwarder.status.gaps], [["1", "2", "3", "4"], 1]);
  assert.match(setup.logged.join(), /^warn: Docker has removed log lines before they were sent; /);
});

Deno.test("L16 LogForwarder reads a log again that the engine continues too late", async () => {
  using clock = new TestClock();
  await using setup = await Setup.start();
  const { engine, sink, web } = setup;
  engine.logs.print(web.Id, "1\n");
  await setup.untilLines(1);
  engine.logs.end();
  await until(() => engine.logs.followed.length === 0);
  await until(() => engine.logs.followed.length === 1);
  clock.set(-hour);
  // The engine leaves it out, as it is older than what was read.
  engine.logs.print(web.Id, "2\n", timestampAt(Date.now()));
  await until(() => sink.lines.includes("2"));
  assert.deepEqual(setup.forwarder.status.gaps, 0);
});

Deno.test("LogForwarder logs that lines have waited for 10 minutes", async () => {
  await using setup = await Setup.start([]);
  setup.sink.waitingSince = Date.now() - 601_000;
  await until(() => setup.logged.length > 0);
  setup.sink.waitingSince = null;
  await until(() => setup.logged.length > 1);
  assert.deepEqual(setup.logged, [
    "warn: log lines have waited for 10 minutes: containers write more than can be sent",
    "info: no log lines wait any more",
  ]);
});

Deno.test("LogForwarder forgets containers that are gone", async () => {
  await using setup = await Setup.start([]);
  const { engine } = setup;
  for (let round = 0; round < 20; round++) {
    setup.list(...Array.from({ length: 500 }, (_, index) => service(`r${round}-${index}`)));
  }
  setup.list();
  await until(() => engine.requestCount >= 500);
  engine.logs.end();
  await until(() => {
    engine.logs.end();
    return setup.forwarder.status.followed === 0;
  });
});

Deno.test("LogForwarder reads a log once when its container is listed again", async () => {
  await using setup = await Setup.start();
  const { engine, sink, web } = setup;
  engine.logs.print(web.Id, "1\n");
  await setup.untilLines(1);
  for (const containers of [[], [web]]) setup.list(...containers);
  await new Promise((resolve) => setTimeout(resolve, 500));
  engine.logs.print(web.Id, "2\n");
  await setup.untilLines(2);
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.deepEqual([sink.lines, engine.logs.followed], [["1", "2"], [web.Id]]);
});

Deno.test("L14 LogForwarder reads on when the engine has ended in an ended log", async () => {
  const web = service("web-http", { state: "exited" });
  await using setup = await Setup.start([web]);
  const { engine, sink } = setup;
  engine.logs.print(web.Id, "1\n");
  setup.list({ ...web, State: "running" });
  setup.list(web);
  await setup.untilLines(1);
  // The rest of the same log.
  engine.logs.print(web.Id, "2\n");
  await setup.untilLines(2);
  assert.deepEqual(sink.lines, ["1", "2"]);
});

Deno.test("L13 LogForwarder forgets positions that it cannot store", async () => {
  const [web, ftp] = [service("web-http"), service("web-ftp")];
  await using setup = await Setup.start([]);
  const { engine } = setup;
  const path = engine.socketPath.replace(/[^/]*$/, "logs.db");
  Deno.mkdirSync(path);
  setup.list(web, ftp);
  for (const { Id } of [web, ftp]) engine.logs.print(Id, "1\n");
  await setup.untilLines(2);
  setup.list(web);
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  Deno.removeSync(path);
  await setup.stopForwarder();
  const store = new PositionStore(path, () => {});
  assert.deepEqual([web, ftp].map(({ Id }) => store.read(Id) !== null), [true, false]);
  store.close();
});
