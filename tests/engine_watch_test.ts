import assert from "node:assert/strict";
import { AgentSetup } from "./agent_setup.ts";
import { container, FakeEngine, network } from "./engine/mod.ts";
import { until, WatchedLoop } from "./watched_loop.ts";

/** Runs a test on a host whose engine is listened to, after the first beat. */
async function watch(
  test: (setup: AgentSetup, loop: WatchedLoop) => Promise<void>,
  intervalMs?: number,
): Promise<void> {
  await using setup = await AgentSetup.create();
  await using loop = new WatchedLoop(setup, intervalMs === undefined ? {} : { intervalMs });
  await isListening(setup, loop);
  await test(setup, loop);
}

/** Waits until the first beat has gone, and the engine is listened to. */
async function isListening({ engine }: AgentSetup, loop: WatchedLoop): Promise<void> {
  await until(() => loop.beats.length > 0 && engine.events.count === 1);
}

/** Lets all looks pass that follow the last hint. */
async function quiet(loop: WatchedLoop): Promise<void> {
  for (let works = -1; works !== loop.works;) {
    works = loop.works;
    await settle(4_000);
  }
}

/** Lets so much time pass that a look for a new hint would have come. */
async function settle(ms = 700): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

const ours = container({ name: "decnet-web" });
const label = { "decnet.topology.id": "t1" };

Deno.test("the loop tells at once of each change of ours, and of nothing else", () =>
  watch(async ({ engine, master }, loop) => {
    const changes: [containers: ReturnType<typeof container>[], told: string[]][] = [
      [[ours], ["decnet-web"]],
      [[{ ...ours, State: "exited" }], []],
      [[ours], ["decnet-web"]],
      // Renamed away from the prefix, and back.
      [[{ ...ours, Names: ["/web"] }], []],
      [[ours], ["decnet-web"]],
      [[], []],
      [[container({ name: "labelled", labels: label })], ["labelled"]],
    ];
    for (const [containers, told] of changes) {
      engine.containers = containers;
      await until(() => JSON.stringify(loop.told) === JSON.stringify(told));
    }
    engine.networks = [network({ name: "decnet_t_1_lan" })];
    await until(() => JSON.stringify(loop.beats.at(-1)!.body).includes("decnet_t_1_lan"));
    const beats = master.beatCount;
    await quiet(loop);
    const works = loop.works;
    for (let times = 0; times < 100; times++) {
      engine.containers = [...engine.containers, container({ name: "shop" })];
      engine.containers = engine.containers.slice(0, -1);
    }
    await settle();
    assert.deepEqual([loop.works, master.beatCount], [works, beats]);
    assert.deepEqual(loop.lines, []);
  }));

Deno.test("the loop tells that a container was cut off its network", async () => {
  await using setup = await AgentSetup.create();
  setup.apply();
  await using loop = new WatchedLoop(setup);
  await isListening(setup, loop);
  const before = loop.beats.length;
  setup.engine.containers = setup.engine.containers.map((it) => {
    return it.Names[0]!.endsWith("decky-001") ? { ...it, NetworkSettings: { Networks: {} } } : it;
  });
  await until(() => loop.beats.length > before);
  assert.match(JSON.stringify(loop.beats.at(-1)!.body.topology!.drift), /"changed":\[\{/);
});

Deno.test("the loop tells what has changed while nobody listened, as soon as it listens again", () =>
  watch(async ({ engine }, loop) => {
    engine.fault = { kind: "status", status: 500, message: "no", path: "/events" };
    engine.events.cut();
    await until(() => engine.events.count === 0);
    await quiet(loop);
    // Of this nobody tells.
    engine.containers = [ours];
    await settle();
    assert.deepEqual(loop.told, []);
    engine.fault = undefined;
    await until(() => loop.told!.includes("decnet-web"));
    assert.equal(engine.events.count, 1);
    assert.deepEqual(loop.lines, []);
  }));

Deno.test("the loop looks when its stream is cut, and asks for another with more and more patience", () =>
  watch(async ({ engine }, loop) => {
    await quiet(loop);
    const works = loop.works;
    const asked = () => engine.requests.filter(({ path }) => path.startsWith("/events")).length;
    const before = asked();
    engine.fault = { kind: "reset", path: "/events" };
    engine.events.cut();
    await until(() => loop.works > works);
    const startedAt = performance.now();
    // After 0.5, 1, 2 s.
    await until(() => asked() === before + 3);
    assert.ok(performance.now() - startedAt > 2_000, "it asked too often");
  }));

Deno.test("the loop beats at once when the engine goes, and when it is back", async () => {
  await using setup = await AgentSetup.create();
  await using loop = new WatchedLoop(setup);
  await isListening(setup, loop);
  await setup.engine.stop();
  await until(() => typeof loop.told === "string");
  await using again = await FakeEngine.start(setup.engine.socketPath);
  again.containers = [ours];
  await until(() => loop.told!.includes("decnet-web"));
  await until(() => again.events.count === 1);
});

Deno.test("the loop stays awake to what comes before, between and after damaged lines", () =>
  watch(async ({ engine }, loop) => {
    const encode = (text: string) => new TextEncoder().encode(text);
    const write = (text: string) => {
      const bytes = encode(text);
      const size = encode(`${bytes.length.toString(16)}\r\n`);
      engine.events.write(new Uint8Array([...size, ...bytes, ...encode("\r\n")]));
    };
    const damages = [
      "garbage\n",
      "\n\n\n",
      "x".repeat(2 ** 19),
      `${"y".repeat(2 ** 18)}\n`,
      '{"\n',
    ];
    for (const [index, damage] of damages.entries()) {
      write(damage);
      engine.containers = index % 2 === 0 ? [ours] : [];
      await until(() => loop.told!.includes("decnet-web") === (index % 2 === 0));
    }
    assert.equal(engine.events.count, 1);
    // An event cut into chunks of single bytes, in the middle of a letter too.
    const event = { Type: "container", Action: "start" };
    const actor = { Actor: { ID: "7", Attributes: { name: "decnet-ü", "für": "🦆" } } };
    const works = loop.works;
    for (const byte of encode(`${JSON.stringify({ ...event, ...actor })}\n`)) {
      engine.events.write(new Uint8Array([...encode("1\r\n"), byte, ...encode("\r\n")]));
    }
    await until(() => loop.works > works);
    assert.equal(engine.events.count, 1);
  }));

Deno.test("the loop begins anew after a stream that is no stream", () =>
  watch(async ({ engine }, loop) => {
    engine.events.write(new TextEncoder().encode("this is no chunk\r\n"));
    await until(() => engine.events.count === 0);
    engine.containers = [ours];
    await until(() => loop.told!.includes("decnet-web") && engine.events.count === 1);
    assert.deepEqual(loop.lines, []);
  }));

Deno.test("the loop waits for a head that comes with the first event only", async () => {
  await using setup = await AgentSetup.create();
  setup.engine.events.isHeadLate = true;
  await using loop = new WatchedLoop(setup);
  await until(() => loop.beats.length > 0 && setup.engine.events.count === 1);
  await settle();
  setup.engine.containers = [ours];
  await until(() => loop.told!.includes("decnet-web"));
});

Deno.test("the loop looks seldom at a flood of events of ours, and still tells the change in it", () =>
  watch(async ({ engine }, loop) => {
    const works = loop.works;
    const event = { Type: "container", Action: "start" } as const;
    const flood = setInterval(() => {
      for (let times = 0; times < 10; times++) {
        engine.events.tell({ ...event, Actor: { ID: "7", Attributes: { name: "decnet-x" } } });
      }
    }, 10);
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    assert.ok(loop.works - works <= 12, `${loop.works - works} looks`);
    engine.containers = [ours];
    await until(() => loop.told!.includes("decnet-web"));
    clearInterval(flood);
  }));

Deno.test("the loop says once that its engine tells no events, and once that it does again", async () => {
  await using setup = await AgentSetup.create();
  setup.engine.fault = { kind: "status", status: 403, message: "not here", path: "/events" };
  await using loop = new WatchedLoop(setup, { intervalMs: 200 });
  await until(() => loop.beats.length >= 15);
  const socket = setup.engine.socketPath;
  const refused = `level=warn msg="Cannot listen to Docker at ${socket}: ` +
    'GET /events was answered with 403 (not here); changes are told at the interval" subject=events';
  assert.deepEqual(loop.lines, [refused]);
  setup.engine.fault = undefined;
  await until(() => loop.lines.length > 1);
  assert.deepEqual(loop.lines, [refused, 'level=info msg="Docker tells of changes again"']);
});

Deno.test("the loop listens to the engine that its beats ask", async () => {
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
  assert.deepEqual(loop.lines, []);
});

Deno.test("the loop listens anew when the engine does not answer a beat", () =>
  watch(async ({ engine }, loop) => {
    engine.fault = { kind: "status", status: 500, message: "down" };
    await until(() => typeof loop.told === "string");
    await until(() => engine.events.count === 0);
    engine.fault = undefined;
    await until(() => engine.events.count === 1);
    await until(() => Array.isArray(loop.told));
  }, 1_000));

Deno.test("the loop stops at once while it listens, and while it waits to listen", async () => {
  for (const kind of [undefined, "hang", "reset"] as const) {
    await using setup = await AgentSetup.create();
    setup.engine.fault = kind && { kind, path: "/events" };
    const loop = new WatchedLoop(setup);
    await until(() => setup.engine.requests.some(({ path }) => path.startsWith("/events")));
    const startedAt = performance.now();
    await loop[Symbol.asyncDispose]();
    assert.ok(performance.now() - startedAt < 2_000);
  }
});
