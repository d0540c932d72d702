import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { AgentSetup, topologyId, WatchedLoop } from "../tests/support/agent_setup.ts";
import { FakeEngine } from "../tests/support/engine/fake_engine.ts";
import { container, network } from "../tests/support/engine/state.ts";
import { until } from "../tests/support/environment.ts";
import { asWriter, StorePlace } from "../tests/support/store.ts";
import { HostWatcher, listenDelayMs } from "./watcher.ts";

/** Lets time pass; 300 ms are enough for the kernel's notices to arrive. */
async function settle(ms = 300): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

Deno.test("the loop sends soon what another process wrote to the store", async () => {
  await using setup = await AgentSetup.create();
  await using loop = new WatchedLoop(setup);
  await until(() => loop.heartbeats.length > 0);
  const write = (message: string) =>
    asWriter(setup.storePath, (store) => store.recordError(topologyId, message));
  const steps: [what: string, change: () => unknown][] = [
    ["a new store", () => write("a new store")],
    [
      "without the lock",
      () => setup.changeStore((it) => it.recordError(topologyId, "without the lock")),
    ],
    ["in another file", () => {
      Deno.renameSync(setup.storePath, `${setup.storePath}.away`);
      return write("in another file");
    }],
  ];
  for (const [what, change] of steps) {
    // The checks after the last change have ended by then.
    await settle(7_000);
    await change();
    await until(() => loop.heartbeats.at(-1)!.body.topology?.last_error === what);
  }
});

Deno.test("S18 HostWatcher leaves SQLite its locks during a change", async () => {
  using place = new StorePlace();
  place.put();
  const database = new DatabaseSync(place.path);
  database.exec("BEGIN IMMEDIATE; UPDATE applied_topology SET last_error = 'half-written'");
  const stop = new AbortController();
  const changed = Promise.withResolvers<void>();
  const watching = new HostWatcher({
    sockets: [`${place.folder}/absent.sock`],
    networkPrefixes: [],
    containerPrefixes: [],
    storePath: place.path,
    log: () => {},
    onChange: changed.resolve,
  }).run(stop.signal);
  Deno.utimeSync(place.path, 1, 1);
  await changed.promise;
  // Closing the file in this process would release the lock; another process asks the kernel.
  const script = `
    import { DatabaseSync } from "node:sqlite";
    new DatabaseSync(Deno.args[0]).exec("BEGIN IMMEDIATE");
  `;
  const args = ["eval", "--quiet", script, place.path];
  const { success, stderr } = await new Deno.Command(Deno.execPath(), { args }).output();
  assert.equal(success, false);
  assert.match(new TextDecoder().decode(stderr), /database is locked/);
  database.close();
  stop.abort();
  await watching;
});

/** Runs a test on a host whose engine is listened to, after the first heartbeat. */
async function watch(
  test: (setup: AgentSetup, loop: WatchedLoop) => Promise<void>,
  intervalMs = 3_600_000,
): Promise<void> {
  await using setup = await AgentSetup.create();
  await using loop = new WatchedLoop(setup, { intervalMs });
  await isListening(setup, loop);
  await test(setup, loop);
}

/** Waits until the first heartbeat was sent, and the loop listens to the engine. */
async function isListening({ engine }: AgentSetup, loop: WatchedLoop): Promise<void> {
  await until(() => loop.heartbeats.length > 0 && engine.events.count === 1);
}

/** Waits until no more checks follow the last request. */
async function quiet(loop: WatchedLoop): Promise<void> {
  for (let works = -1; works !== loop.works();) {
    works = loop.works();
    await settle(4_000);
  }
}

/** What a loop has logged, but for drift. */
const driftless = ({ lines }: WatchedLoop) => lines.filter((it) => !it.includes("drift"));

const ours = container({ name: "decnet-web" });
const label = { "decnet.topology.id": "t1" };

Deno.test("the loop sends each change of its own objects at once, no others", () =>
  watch(async ({ engine, master }, loop) => {
    const changes: [containers: ReturnType<typeof container>[], observed: string[]][] = [
      [[ours], ["decnet-web"]],
      [[{ ...ours, State: "exited" }], []],
      [[ours], ["decnet-web"]],
      // Renamed away from the prefix, and back.
      [[{ ...ours, Names: ["/web"] }], []],
      [[ours], ["decnet-web"]],
      [[], []],
      [[container({ name: "labelled", labels: label })], ["labelled"]],
    ];
    for (const [containers, observed] of changes) {
      engine.containers = containers;
      await until(() => JSON.stringify(loop.observed) === JSON.stringify(observed));
    }
    engine.networks = [network({ name: "decnet_t_1_lan" })];
    await until(() => JSON.stringify(loop.heartbeats.at(-1)!.body).includes("decnet_t_1_lan"));
    const heartbeats = master.heartbeatCount;
    await quiet(loop);
    const works = loop.works();
    for (let times = 0; times < 100; times++) {
      engine.containers = [...engine.containers, container({ name: "shop" })];
      engine.containers = engine.containers.slice(0, -1);
    }
    await settle(700);
    // Networks are not told apart, so that a container on one leads to checks, at their pace.
    assert.ok(loop.works() - works <= 4, `${loop.works() - works} checks`);
    assert.equal(master.heartbeatCount, heartbeats);
    assert.deepEqual(driftless(loop), []);
  }));

Deno.test("the loop reports a container that was disconnected from its network", async () => {
  await using setup = await AgentSetup.create();
  setup.apply();
  await using loop = new WatchedLoop(setup);
  await isListening(setup, loop);
  const before = loop.heartbeats.length;
  setup.engine.containers = setup.engine.containers.map((it) => {
    return it.Names[0]!.endsWith("decky-001") ? { ...it, NetworkSettings: { Networks: {} } } : it;
  });
  await until(() => loop.heartbeats.length > before);
  assert.match(JSON.stringify(loop.heartbeats.at(-1)!.body.topology!.drift), /"changed":\[\{/);
});

Deno.test("D20 the loop reports what changed without a stream, once it is back", () =>
  watch(async ({ engine }, loop) => {
    engine.fault = { kind: "status", status: 500, message: "no", path: "/events" };
    engine.events.cut();
    await until(() => engine.events.count === 0);
    await quiet(loop);
    // No event reports this.
    engine.containers = [ours];
    await settle(700);
    assert.deepEqual(loop.observed, []);
    engine.fault = undefined;
    await until(() => loop.observed!.includes("decnet-web"));
    assert.equal(engine.events.count, 1);
    assert.deepEqual(driftless(loop), []);
  }));

Deno.test("the loop checks when its stream is cut, and retries with a backoff", () =>
  watch(async ({ engine }, loop) => {
    await quiet(loop);
    const works = loop.works();
    const asked = () => engine.requests.filter(({ path }) => path.startsWith("/events")).length;
    const before = asked();
    engine.fault = { kind: "reset", path: "/events" };
    engine.events.cut();
    await until(() => loop.works() > works);
    const startedAt = performance.now();
    // After 0.5, 1, 2 s.
    await until(() => asked() === before + 3);
    assert.ok(performance.now() - startedAt > 2_000, "it asked too often");
  }));

Deno.test("the loop sends at once when the engine goes, and when it is back", () =>
  watch(async ({ engine }, loop) => {
    await engine.stop();
    await until(() => typeof loop.observed === "string");
    await using again = await FakeEngine.start(engine.socketPath);
    again.containers = [ours];
    await until(() => loop.observed!.includes("decnet-web"));
    await until(() => again.events.count === 1);
  }));

Deno.test("D20 the loop reads the events around damaged lines", () =>
  watch(async ({ engine }, loop) => {
    const encode = (text: string) => new TextEncoder().encode(text);
    const damages = [
      "garbage\n",
      "\n\n\n",
      "x".repeat(2 ** 19),
      `${"y".repeat(2 ** 18)}\n`,
      '{"\n',
    ];
    for (const [index, damage] of damages.entries()) {
      engine.events.write(encode(damage));
      engine.containers = index % 2 === 0 ? [ours] : [];
      await until(() => loop.observed!.includes("decnet-web") === (index % 2 === 0));
    }
    assert.equal(engine.events.count, 1);
    // An event cut into single bytes, in the middle of a letter too.
    const event = { Type: "container", Action: "start" };
    const actor = { Actor: { ID: "7", Attributes: { name: "decnet-ü", "für": "🦆" } } };
    const works = loop.works();
    for (const byte of encode(`${JSON.stringify({ ...event, ...actor })}\n`)) {
      engine.events.write(new Uint8Array([byte]));
    }
    await until(() => loop.works() > works);
    assert.equal(engine.events.count, 1);
  }));

Deno.test("the loop waits for a head that comes with the first event", async () => {
  await using setup = await AgentSetup.create();
  setup.engine.events.isHeadLate = true;
  await using loop = new WatchedLoop(setup);
  await until(() => loop.heartbeats.length > 0 && setup.engine.events.count === 1);
  await settle(700);
  setup.engine.containers = [ours];
  await until(() => loop.observed!.includes("decnet-web"));
});

Deno.test("D20 the loop paces a flood of events and still reports its change", () =>
  watch(async ({ engine }, loop) => {
    const works = loop.works();
    const event = { Type: "container", Action: "start" } as const;
    const flood = setInterval(() => {
      for (let times = 0; times < 10; times++) {
        engine.events.tell({ ...event, Actor: { ID: "7", Attributes: { name: "decnet-x" } } });
      }
    }, 10);
    await settle(4_000);
    assert.ok(loop.works() - works <= 12, `${loop.works() - works} checks`);
    engine.containers = [ours];
    await until(() => loop.observed!.includes("decnet-web"));
    clearInterval(flood);
  }));

Deno.test("D20 the loop logs the loss of events once, also in a pause", async () => {
  await using setup = await AgentSetup.create();
  setup.master.answer = { status: 429, headers: { "retry-after": "3600" } };
  setup.engine.fault = { kind: "status", status: 403, message: "not here", path: "/events" };
  await using loop = new WatchedLoop(setup, { intervalMs: 200 });
  const lines = () => driftless(loop).filter((line) => !line.includes("subject=master"));
  await until(() => loop.works() >= 15);
  const socket = setup.engine.socketPath;
  const refused = `level=warn msg="Cannot listen to Docker at ${socket}: ` +
    'GET /events was answered with 403 (not here); changes are reported at the interval" subject=events';
  assert.deepEqual(lines(), [refused]);
  setup.engine.fault = undefined;
  await until(() => lines().length > 1);
  assert.deepEqual(lines(), [refused, 'level=info msg="Docker reports changes again"']);
});

Deno.test("the loop listens to the engine that its heartbeats ask", async () => {
  await using setup = await AgentSetup.create();
  const [first, second] = [`${setup.path}/first.sock`, setup.engine.socketPath];
  await using loop = new WatchedLoop(setup, { intervalMs: 300, sockets: [first, second] });
  await until(() => setup.engine.events.count === 1);
  await using other = await FakeEngine.start(first);
  await until(() => other.events.count === 1 && setup.engine.events.count === 0);
  // Another engine in the same place, while the one before lives on.
  await Deno.rename(first, `${first}.moved`);
  await using third = await FakeEngine.start(first);
  await until(() => third.events.count === 1);
  await until(() => other.events.count === 0);
  assert.deepEqual(driftless(loop), []);
});

Deno.test("the loop listens again when the engine did not answer", () =>
  watch(async ({ engine }, loop) => {
    engine.fault = { kind: "status", status: 500, message: "down" };
    await until(() => typeof loop.observed === "string");
    await until(() => engine.events.count === 0);
    engine.fault = undefined;
    await until(() => engine.events.count === 1);
    await until(() => Array.isArray(loop.observed));
  }, 1_000));

Deno.test("the loop stops at once while it listens, and while it waits to listen", async () => {
  for (const kind of [undefined, "hang", "reset"] as const) {
    await using setup = await AgentSetup.create();
    setup.engine.fault = kind && { kind, path: "/events" };
    const loop = new WatchedLoop(setup);
    await until(() => setup.engine.requests.some(({ path }) => path.startsWith("/events")));
    await loop.stop();
  }
});

Deno.test("listenDelayMs() doubles with each failure, from 1 s to 1 min", () => {
  const bounds = [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000];
  for (const [failures, bound] of [...bounds.entries(), [9_999, 60_000] as const]) {
    const delays = [0, 0.5, 1 - 2 ** -53].map((it) => Math.round(listenDelayMs(failures + 1, it)));
    assert.deepEqual(delays, [bound / 2, bound * 0.75, bound]);
  }
});
