import assert from "node:assert/strict";
import { createLog } from "../host/log.ts";
import { listQuarantined } from "../store/file.ts";
import { FallbackStore } from "../store/recovery.ts";
import {
  AgentSetup,
  document,
  RunningLoop,
  runSkipping,
  topologyId,
  versionHash,
  WatchedLoop,
} from "../tests/support/agent_setup.ts";
import { FakeEngine, listenWithoutAccepting } from "../tests/support/engine/fake_engine.ts";
import type { Fault } from "../tests/support/engine/faults.ts";
import { container, network } from "../tests/support/engine/state.ts";
import { SeededRandom } from "../tests/support/random.ts";
import { assertNoSecrets } from "../tests/support/secrets.ts";
import { asWriter } from "../tests/support/store.ts";
import type { MasterAnswer } from "../tests/support/tls_master.ts";
import type { Heartbeat } from "./heartbeat.ts";
import { Wakeup } from "./schedule.ts";
import { until } from "../tests/support/environment.ts";

/** Runs a test on a host. */
function test(title: string, run: (setup: AgentSetup) => Promise<void>): void {
  Deno.test(title, async () => {
    await using setup = await AgentSetup.create();
    await run(setup);
  });
}

const intervalMs = 30_000;
/** The largest number that Math.random() can give. */
const almostOne = 1 - 2 ** -53;

/** What a loop did over a number of heartbeats. */
interface LoopRun {
  /** The time before each heartbeat, in milliseconds. */
  readonly waitsMs: number[];
  readonly lines: string[];
  readonly heartbeats: Heartbeat[];
}

/** Runs the loop for so many heartbeats with waits that take no time. */
async function runHeartbeats(
  setup: AgentSetup,
  count: number,
  { random = 0.5, before = () => {}, onHeartbeat = () => {} }: {
    readonly random?: number;
    /** Runs before each heartbeat, which is counted from 1. */
    readonly before?: (heartbeat: number) => void | Promise<void>;
    /** Takes each heartbeat, as the loop's own. */
    readonly onHeartbeat?: () => void;
  } = {},
): Promise<LoopRun> {
  const lines: string[] = [];
  const heartbeats: Heartbeat[] = [];
  const agent = setup.newAgent();
  try {
    const waitsMs = await runSkipping(agent, {
      log: createLog((line) => lines.push(assertNoSecrets(line).trimEnd())),
      random: () => random,
      onHeartbeat: (heartbeat) => {
        heartbeats.push(heartbeat);
        onHeartbeat();
      },
      before: async (heartbeat) => {
        if (heartbeat > count) return false;
        await before(heartbeat);
        return true;
      },
    });
    return { waitsMs, lines, heartbeats };
  } finally {
    agent.close();
  }
}

/** Returns true for a wait as planned, less the time of the heartbeat itself. */
function isPaced(waitedMs: number, plannedMs: number): boolean {
  return waitedMs <= plannedMs && waitedMs > plannedMs - 10_000;
}

test("M16 runLoop() waits less after a slow heartbeat, not in a pause", async (setup) => {
  // The list of containers has more than 2,000 bytes.
  setup.engine.fault = { kind: "slow", bytesPerSecond: 4_000, path: "/containers" };
  setup.apply();
  const headers = { "retry-after": "7" };
  setup.master.answer = [{ status: 204 }, { status: 403, headers }, { status: 503, headers }];
  const { waitsMs: [, waitMs, ...pausesMs] } = await runHeartbeats(setup, 3);
  assert.ok(waitMs! < intervalMs - 300 && waitMs! > 0, String(waitMs));
  assert.deepEqual(pausesMs, [19_000, 19_000]);
});

test("runLoop() logs an unexpected error in a heartbeat, and backs off", async (setup) => {
  const thrown = [new Error("boom"), "bang"];
  const onHeartbeat = () => {
    if (thrown.length > 0) throw thrown.shift();
  };
  const { waitsMs, lines } = await runHeartbeats(setup, 4, { random: almostOne, onHeartbeat });
  assert.deepEqual(lines, [
    'level=error msg="the heartbeat failed: boom"',
    'level=error msg="the heartbeat failed: bang"',
  ]);
  assert.deepEqual(waitsMs.slice(1, 3), [10_000, 20_000]);
  assert.ok(waitsMs.slice(3).every((ms) => isPaced(ms, 36_000)), waitsMs.join(" "));
  assert.equal(setup.master.heartbeatCount, 4);
});

test("M16 runLoop() keeps its interval after each rejection", async (setup) => {
  const statuses = [400, 403, 404, 422, 302];
  setup.master.answer = statuses.map((status): MasterAnswer => ({ status }));
  const { waitsMs, heartbeats } = await runHeartbeats(setup, 6);
  assert.ok(waitsMs.slice(1).every((ms) => isPaced(ms, intervalMs)), waitsMs.join(" "));
  assert.deepEqual(
    heartbeats.map(({ result }) => result.kind),
    [...statuses.map(() => "rejected"), "delivered"],
  );
});

/** Runs a test on a loop with real waits. */
async function withLoop(
  setup: AgentSetup,
  test: (loop: RunningLoop) => Promise<unknown>,
  options: ConstructorParameters<typeof RunningLoop>[1] = {},
): Promise<void> {
  await using loop = new RunningLoop(setup, options);
  await test(loop);
}

/** Lets time pass; 1.5 s are enough for what has begun to end, and for five checks. */
async function pause(ms = 1_500): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

const base = "decnet_t_11111111_decky-001";

/** Removes all containers but the base. */
function loseOne({ engine }: AgentSetup): void {
  engine.containers = engine.containers.filter(({ Names }) => Names[0] === `/${base}`);
}

test("runLoop() sends at once when that is requested", async (setup) => {
  const wakeup = new Wakeup();
  wakeup.requestSend();
  setup.master.answer = (heartbeat) => {
    if (heartbeat === 1) wakeup.requestSend();
    return { status: 204 };
  };
  await withLoop(setup, async () => {
    // Requested before the loop began, during a heartbeat, and after one.
    await setup.master.nextHeartbeat();
    await setup.master.nextHeartbeat();
    await pause(300);
    assert.equal(setup.master.heartbeatCount, 2);
    wakeup.requestSend();
    await setup.master.nextHeartbeat();
  }, { wakeup, random: () => 0.9 });
});

test("runLoop() sends nothing for a request that comes with the stop", async (setup) => {
  await withLoop(setup, async ({ wakeup, stop }) => {
    await setup.master.nextHeartbeat();
    await pause(100);
    wakeup.requestSend();
    await stop();
    wakeup.requestSend();
    assert.equal(wakeup.take("send"), true);
  });
  assert.equal(setup.master.heartbeatCount, 1);
});

const pausing: MasterAnswer = { status: 429, headers: { "retry-after": "3600" } };
const failing: MasterAnswer = { status: 500 };

for (const answer of [pausing, failing]) {
  const what = answer === pausing ? "a pause" : "a backoff";
  test(`runLoop() reports changes of the host at each interval of ${what}`, async (setup) => {
    setup.master.answer = answer;
    const seen: Heartbeat[] = [];
    const steps = [
      () => setup.engine.containers = [container({ name: "decnet-x" })],
      () => setup.engine.containers = [],
    ];
    const onReport = (heartbeat: Heartbeat) => {
      seen.push(heartbeat);
      steps.shift()?.();
    };
    // The longest backoff is far longer than the test.
    await withLoop(setup, async ({ lines }) => {
      await until(() => lines.length >= 3);
      assert.match(lines.shift()!, /subject=master failures=1$/);
      assert.deepEqual(lines, [
        'level=warn msg="unexpected decnet-x (running)" subject=drift',
        'level=info msg="there is no drift any more"',
      ]);
    }, { intervalMs: 20, random: () => 0.99, onReport });
    assert.equal(setup.master.heartbeatCount, 1);
    assert.ok(seen.every(({ result }) => result.kind === "rejected"));
  });
}

test("runLoop() continues when a report or a check fails unexpectedly", async (setup) => {
  const unexpected = () => {
    throw new Error("unexpected");
  };
  setup.master.answer = pausing;
  await withLoop(setup, async ({ lines }) => {
    await setup.master.nextHeartbeat();
    await until(() => lines.filter((line) => line.includes("a report failed")).length > 2);
    assert.equal(lines[0], 'level=error msg="a report failed: unexpected"');
  }, { intervalMs: 20, onSnapshot: unexpected });
  setup.master.answer = { status: 204 };
  await withLoop(setup, async ({ wakeup, works, lines, agent }) => {
    await setup.master.nextHeartbeat();
    agent.collector.collect = () => Promise.reject(new Error("unexpected"));
    wakeup.requestCheck();
    await pause();
    assert.ok(works() > 2 && works() <= 6, `${works()} checks`);
    assert.equal(lines[0], 'level=error msg="a check of the host failed: unexpected"');
  });
});

test("runLoop() does one thing at a time while a check hangs", async (setup) => {
  setup.master.answer = { status: 429, headers: { "retry-after": "6" } };
  using _hung = listenWithoutAccepting(`${setup.path}/hung.sock`);
  const sockets = [setup.engine.socketPath];
  const phases: string[] = [];
  let heartbeats = 0;
  const onHeartbeat = () => {
    sockets[0] = `${setup.path}/hung.sock`;
    heartbeats++;
  };
  await withLoop(setup, async ({ lines }) => {
    await until(() => heartbeats === 2);
    // A heartbeat, a check that hangs, the next heartbeat: never two at a time.
    assert.deepEqual(phases, ["begin", "end", "begin", "end", "begin", "end"]);
    assert.deepEqual(lines.filter((line) => line.includes("aborted")), []);
  }, { intervalMs: 200, sockets, onHeartbeat, onWork: (phase) => phases.push(phase) });
});

test("runLoop() skips checks while the agent changes the host", async (setup) => {
  let isBusy = true;
  await withLoop(setup, async ({ wakeup, works }) => {
    await setup.master.nextHeartbeat();
    setup.apply();
    wakeup.requestCheck();
    await pause();
    assert.deepEqual([works(), setup.master.heartbeatCount], [1, 1]);
    isBusy = false;
    wakeup.requestCheck();
    await until(() => works() > 1);
  }, { isBusy: () => isBusy });
});

test("runLoop() checks again after a request, and sends a change only", async (setup) => {
  setup.apply();
  await withLoop(setup, async ({ wakeup, works }) => {
    await setup.master.nextHeartbeat();
    wakeup.requestCheck();
    await until(() => works() >= 3);
    assert.equal(setup.master.heartbeatCount, 1);
    // No further request: the engine's lists may come late.
    loseOne(setup);
    const { body } = await setup.master.nextHeartbeat();
    assert.deepEqual((body as { topology: { observed: unknown } }).topology.observed, {
      bridges: ["decnet_t_11111111_lan-00"],
      containers: [base],
    });
    await until(() => works() >= 6);
    assert.equal(setup.master.heartbeatCount, 2);
  });
});

test("runLoop() does not lose a request for a check during a heartbeat", async (setup) => {
  setup.apply();
  await withLoop(setup, async ({ wakeup }) => {
    await setup.master.nextHeartbeat();
    setup.master.answer = () => {
      if (setup.engine.containers.length > 1) {
        loseOne(setup);
        wakeup.requestCheck();
      }
      return { status: 204 };
    };
    wakeup.requestSend();
    await setup.master.nextHeartbeat();
    const { body } = await setup.master.nextHeartbeat();
    assert.match(JSON.stringify(body), /"containers":\["decnet_t_11111111_decky-001"\]/);
  });
});

const names = [
  "decnet-a",
  "decnet-b",
  "decnet_t_1_c",
  "decnet_t_11111111_decky-001",
  "shop",
  "web",
];
const states = ["running", "running", "exited", "paused", "created"] as const;
const nets = ["decnet_t_1_lan", "decnet_t_11111111_lan-00", "shop_default"];
const faults: (Fault | undefined)[] = [
  { kind: "reset", path: "/events" },
  { kind: "status", status: 500, message: "down" },
  { kind: "hang-body", path: "/events" },
  { kind: "slow", bytesPerSecond: 20_000 },
  undefined,
  undefined,
];

/** A host that changes at random while a loop watches it. */
class Host {
  engine: FakeEngine;
  readonly did: string[] = [];
  /** How many cuts are left: after each, the loop waits longer to listen again. */
  #cuts = 3;
  readonly #setup: AgentSetup;
  readonly #random: SeededRandom;

  constructor(setup: AgentSetup, random: SeededRandom) {
    this.#setup = setup;
    this.#random = random;
    this.engine = setup.engine;
  }

  async change(): Promise<void> {
    const { engine } = this;
    const random = this.#random;
    const draw = random.next();
    if (draw < 0.5) {
      const name = random.pick(names);
      const rest = engine.containers.filter(({ Names }) => Names[0] !== `/${name}`);
      const isGone = random.next() < 0.3;
      const state = random.pick(states);
      engine.containers = isGone ? rest : [...rest, { ...container({ name }), State: state }];
      this.did.push(`${name} ${isGone ? "gone" : state}`);
    } else if (draw < 0.65) {
      const name = random.pick(nets);
      const rest = engine.networks.filter(({ Name }) => Name !== name);
      engine.networks = rest.length < engine.networks.length ? rest : [...rest, network({ name })];
      this.did.push(name);
    } else if (draw < 0.8) {
      const is = random.pick(["put", "clear", "error"]);
      await asWriter(this.#setup.storePath, (store) => {
        if (is === "put") store.put(topologyId, versionHash, document);
        else if (is === "clear") store.clear(topologyId);
        else store.recordError(topologyId, `error ${this.did.length}`);
      });
      this.did.push(is);
    } else if (draw < 0.9) {
      engine.fault = random.pick(faults);
      this.did.push(JSON.stringify(engine.fault));
    } else if (this.#cuts > 0) {
      this.#cuts--;
      if (random.next() < 0.5) {
        engine.events.cut();
        this.did.push("cut");
      } else {
        const { containers, networks, socketPath } = engine;
        await engine.stop();
        this.engine = await FakeEngine.start(socketPath);
        Object.assign(this.engine, { containers, networks });
        this.did.push("restart");
      }
    }
    await pause(random.pick([0, 20, 110, 400, 7_000]));
  }
}

/** Changes a host, and waits until the loop's last heartbeat reports what a new check finds. */
async function check(seed: number): Promise<void> {
  await using setup = await AgentSetup.create();
  setup.changeStore((store) => store.put(topologyId, versionHash, document));
  const host = new Host(setup, new SeededRandom(seed));
  await using loop = new WatchedLoop(setup);
  await until(() => loop.heartbeats.length > 0 && setup.engine.events.count === 1);
  // Checks that still follow a request would hide that another one was lost.
  await pause(7_000);
  for (let changes = seed % 5; changes >= 0; changes--) await host.change();
  host.engine.fault = undefined;
  const startedAt = performance.now();
  const agent = setup.newAgent();
  try {
    for (;;) {
      const truth = await agent.sendHeartbeat(new AbortController().signal, { dryRun: true });
      const [is, sent] = [truth, loop.heartbeats.at(-1)].map((it) =>
        it && agent.fingerprint(it.snapshot)
      );
      if (is === sent) break;
      // After three refusals in a row the next stream is requested 8 s later.
      const isLate = performance.now() - startedAt > 30_000;
      assert.ok(!isLate, `seed ${seed}: ${sent}\nis ${is}\nafter ${host.did.join("; ")}`);
      await pause(100);
    }
  } finally {
    agent.close();
    await host.engine.stop();
  }
}

Deno.test("the loop's last heartbeat is right after any sequence of changes", async () => {
  await Promise.all(Array.from({ length: 30 }, (_, seed) => check(seed)));
});

test("runLoop() stops at once in a wait", async (setup) => {
  await withLoop(setup, async ({ stop, heartbeats }) => {
    await stop();
    assert.deepEqual(heartbeats, []);
  }, { random: () => 0.5 });
});

test("runLoop() stops at once while the master or the engine hangs", async (setup) => {
  setup.master.answer = { kind: "hang" };
  await withLoop(setup, async ({ stop, lines, heartbeats }) => {
    await setup.master.nextHeartbeat();
    await stop();
    assert.deepEqual([lines, heartbeats], [[], []]);
  });
  setup.engine.fault = { kind: "hang" };
  const [asked, sent] = [setup.engine.requestCount, setup.master.heartbeatCount];
  await withLoop(setup, async ({ stop, lines, heartbeats }) => {
    await until(() => setup.engine.requestCount > asked);
    await stop();
    assert.deepEqual([lines, heartbeats], [[], []]);
  });
  assert.equal(setup.master.heartbeatCount, sent);
});

test("S2 runLoop() repairs the store before it sends what a check found", async (setup) => {
  setup.apply();
  await withLoop(setup, async ({ wakeup, lines }) => {
    await setup.master.nextHeartbeat();
    Deno.writeTextFileSync(setup.storePath, "no database ".repeat(999));
    wakeup.requestCheck();
    const { body } = await setup.master.nextHeartbeat();
    await pause();
    assert.equal((body as { store: { state: string } }).store.state, "idle");
    assert.equal(listQuarantined(setup.storePath).length, 1);
    assert.equal(setup.master.heartbeatCount, 2);
    assert.deepEqual(lines.filter((line) => line.includes("Cannot read the store")), []);
  }, { fallback: new FallbackStore(setup.storePath) });
});
