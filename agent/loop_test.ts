import assert from "node:assert/strict";
import { createLog } from "../host/log.ts";
import { listQuarantined } from "../store/file.ts";
import { FallbackStore } from "../store/recovery.ts";
import {
  AgentSetup,
  document,
  runSkipping,
  topologyId,
  versionHash,
  WatchedLoop,
} from "../tests/support/agent_setup.ts";
import { randomNumbers } from "../tests/support/answer_streams.ts";
import { FakeEngine, listenWithoutAccepting } from "../tests/support/engine/fake_engine.ts";
import type { Fault } from "../tests/support/engine/faults.ts";
import { container, network } from "../tests/support/engine/state.ts";
import { assertNoSecrets } from "../tests/support/secrets.ts";
import { asWriter } from "../tests/support/store.ts";
import type { MasterAnswer } from "../tests/support/tls_master.ts";
import type { Agent, Heartbeat } from "./heartbeat.ts";
import { runLoop } from "./loop.ts";
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
  { random = 0.5, before = () => {}, onHeartbeat = () => {}, onSnapshot = () => {} }: {
    readonly random?: number;
    /** Runs before each heartbeat, which is counted from 1. */
    readonly before?: (heartbeat: number) => void | Promise<void>;
    /** Takes each heartbeat, as the loop's own. */
    readonly onHeartbeat?: () => void;
    readonly onSnapshot?: () => void;
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
      onSnapshot,
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

test("runLoop() waits a random part of the first interval, then all of it", async (setup) => {
  for (
    const [random, first, next] of [[0, 0, 24_000], [0.5, 15_000, 30_000], [0.75, 22_500, 33_000]]
  ) {
    const { waitsMs: [firstMs, ...laterMs] } = await runHeartbeats(setup, 3, { random: random! });
    assert.equal(firstMs, first);
    assert.ok(laterMs.every((ms) => isPaced(ms, next!)), laterMs.join(" "));
  }
  assert.equal(setup.master.heartbeatCount, 9);
});

test("runLoop() subtracts the time of a heartbeat from the next wait", async (setup) => {
  // The list of containers has more than 2,000 bytes.
  setup.engine.fault = { kind: "slow", bytesPerSecond: 4_000, path: "/containers" };
  setup.apply();
  const { waitsMs } = await runHeartbeats(setup, 1);
  assert.ok(waitsMs[1]! < intervalMs - 300 && waitsMs[1]! > 0, String(waitsMs[1]));
});

test("runLoop() logs nothing while all goes well", async (setup) => {
  setup.apply();
  const { lines, heartbeats } = await runHeartbeats(setup, 50);
  assert.deepEqual(lines, []);
  assert.equal(heartbeats.length, 50);
  assert.equal(setup.master.heartbeatCount, 50);
  assert.equal(setup.master.connectionCount, 1);
});

test("runLoop() backs off from a failing master, and recovers", async (setup) => {
  setup.master.answer = (heartbeat) =>
    heartbeat <= 9 ? { status: 503, body: "busy" } : { status: 204 };
  const { waitsMs, lines } = await runHeartbeats(setup, 11, { random: almostOne });
  assert.deepEqual(waitsMs.slice(1, 10), [
    ...[10_000, 20_000, 40_000, 80_000, 160_000],
    ...[300_000, 300_000, 300_000, 300_000],
  ]);
  assert.ok(waitsMs.slice(10).every((ms) => isPaced(ms, 36_000)));
  assert.deepEqual(lines, [
    ...[1, 2, 4, 8].map((failures) =>
      `level=warn msg="the master answered 503: \\"busy\\"" subject=master failures=${failures}`
    ),
    'level=info msg="the master accepts heartbeats again" failures=9',
  ]);
});

test("runLoop() starts its backoff again after each success", async (setup) => {
  const statuses = [500, 500, 204, 500, 403, 500];
  setup.master.answer = statuses.map((status): MasterAnswer => ({ status }));
  const { waitsMs } = await runHeartbeats(setup, statuses.length, { random: almostOne });
  const [, first, second, well, third, refused, fourth] = waitsMs;
  assert.deepEqual([first, second, third, fourth], [10_000, 20_000, 10_000, 10_000]);
  assert.ok(isPaced(well!, 36_000) && isPaced(refused!, 36_000));
});

test("runLoop() backs off from a master that is gone", async (setup) => {
  await setup.master.stop();
  const { waitsMs, lines } = await runHeartbeats(setup, 3, { random: 0 });
  assert.deepEqual(waitsMs.slice(1), [5_000, 5_000, 5_000]);
  assert.equal(lines.length, 2);
  assert.match(lines[1]!, /connection refused.* failures=2$/);
});

test("M16 runLoop() waits as long as the master asks, within 5 s and 1 h", async (setup) => {
  const asked = ["7", "0", "86400", "60", "nonsense"];
  setup.master.answer = asked.map((seconds, index) => ({
    status: index % 2 === 0 ? 429 : 503,
    headers: { "retry-after": seconds },
  }));
  const { waitsMs } = await runHeartbeats(setup, asked.length, { random: 0 });
  assert.deepEqual(waitsMs.slice(1), [7_000, 5_000, 3_600_000, 60_000, 5_000]);
});

test("runLoop() takes nothing off the pause that the master asks for", async (setup) => {
  setup.engine.fault = { kind: "slow", bytesPerSecond: 4_000, path: "/containers" };
  setup.apply();
  const headers = { "retry-after": "7" };
  setup.master.answer = [{ status: 403, headers }, { status: 503, headers }];
  const { waitsMs } = await runHeartbeats(setup, 2, { random: 0.5 });
  assert.deepEqual(waitsMs.slice(1), [19_000, 19_000]);
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

test("runLoop() logs once that Docker is down, once that it is back", async (setup) => {
  setup.apply();
  const { lines } = await runHeartbeats(setup, 6, {
    before: (heartbeat) => {
      setup.engine.fault = heartbeat >= 2 && heartbeat <= 4
        ? { kind: "status", status: 500, message: "down" }
        : undefined;
    },
  });
  assert.equal(setup.master.heartbeatCount, 6);
  assert.equal(lines.length, 2);
  assert.match(lines[0]!, /^level=warn msg=".*answered with 500 \(down\)" subject=docker$/);
  assert.equal(lines[1], 'level=info msg="Docker answers again"');
});

test("runLoop() logs missing certificates once, and sends when they come", async (setup) => {
  const [here, away] = [`${setup.path}/worker.crt`, `${setup.path}/away`];
  await Deno.rename(here, away);
  const { waitsMs, lines } = await runHeartbeats(setup, 5, {
    before: (heartbeat) => heartbeat === 4 ? Deno.rename(away, here) : undefined,
  });
  assert.deepEqual(lines, [
    `level=warn msg="Cannot use ${here}: no such file; see agent-dir" subject=certificates`,
    'level=info msg="the certificates are in order again"',
  ]);
  assert.ok(waitsMs.slice(1).every((ms) => isPaced(ms, intervalMs)));
  assert.equal(setup.master.heartbeatCount, 2);
});

/** A loop with real waits. */
interface RunningLoop {
  readonly agent: Agent;
  readonly wakeup: Wakeup;
  /** How many checks have begun. */
  readonly works: () => number;
  /** Stops the loop and waits for its end. */
  readonly stop: () => Promise<void>;
  readonly lines: string[];
  readonly heartbeats: Heartbeat[];
}

/** Runs the loop with an interval that no test waits for, unless it is given. */
async function withLoop(
  setup: AgentSetup,
  test: (loop: RunningLoop) => Promise<unknown>,
  options: {
    readonly intervalMs?: number;
    readonly minEarlyGapMs?: number;
    /** A number in [0, 1); with 0 the first heartbeat comes at once. */
    readonly random?: number;
    readonly wakeup?: Wakeup;
    readonly isBusy?: () => boolean;
    readonly fallback?: FallbackStore;
    /** Takes what the loop is about to wait, in milliseconds. */
    readonly onWait?: (ms: number) => void;
  } = {},
): Promise<void> {
  const { wakeup = new Wakeup(), onWait = () => {}, isBusy = () => false } = options;
  const agent = setup.newAgent(options.fallback && { fallback: options.fallback });
  const controller = new AbortController();
  const [lines, heartbeats]: [string[], Heartbeat[]] = [[], []];
  let works = 0;
  const loop = runLoop(agent, controller.signal, {
    intervalMs: options.intervalMs ?? 3_600_000,
    minEarlyGapMs: options.minEarlyGapMs ?? 0,
    log: createLog((line) => lines.push(assertNoSecrets(line))),
    random: () => options.random ?? 0,
    wakeup,
    isBusy,
    onWork: (phase) => works += phase === "begin" ? 1 : 0,
    onHeartbeat: (heartbeat) => heartbeats.push(heartbeat),
    wait: (ms, signal, options) => {
      onWait(ms);
      return wakeup.wait(ms, signal, options);
    },
  });
  const stop = async () => {
    const startedAt = performance.now();
    controller.abort(new Error("the agent is stopping"));
    await loop;
    assert.ok(performance.now() - startedAt < 2_000);
  };
  try {
    await test({ agent, wakeup, works: () => works, stop, lines, heartbeats });
  } finally {
    await stop();
    agent.close();
  }
}

/** The waits of a loop that sends at most one early heartbeat, unless `minEarlyGapMs` is given. */
class Waits {
  readonly wakeup = new Wakeup();
  readonly minEarlyGapMs = 3_600_000;
  /** In milliseconds. */
  readonly all: number[] = [];
  /** For each, whether a heartbeat was requested when it began. */
  readonly requested: boolean[] = [];
  #onWait = () => {};

  readonly onWait = (ms: number) => {
    this.all.push(ms);
    const isRequested = this.wakeup.takeSendRequest();
    if (isRequested) this.wakeup.requestSend();
    this.requested.push(isRequested);
    this.#onWait();
  };

  /** Ends when the loop has begun to wait for the `count`th time. */
  async begun(count: number): Promise<void> {
    while (this.all.length < count) {
      await new Promise<void>((resolve) => this.#onWait = resolve);
    }
  }
}

test("runLoop() sends at once when that is requested", async (setup) => {
  const waits = new Waits();
  await withLoop(setup, async () => {
    await waits.begun(1);
    assert.equal(setup.master.heartbeatCount, 0);
    waits.wakeup.requestSend();
    await setup.master.nextHeartbeat();
  }, { ...waits, random: 0.9 });
  await withLoop(setup, async () => {
    await setup.master.nextHeartbeat();
    waits.wakeup.requestSend();
    await setup.master.nextHeartbeat();
  }, waits);
  waits.wakeup.requestSend();
  await withLoop(setup, () => setup.master.nextHeartbeat(), { ...waits, random: 0.9 });
  assert.equal(setup.master.heartbeatCount, 4);
});

test("runLoop() sends one heartbeat for many requests", async (setup) => {
  const waits = new Waits();
  await withLoop(setup, async () => {
    await setup.master.nextHeartbeat();
    await waits.begun(2);
    for (let rings = 0; rings < 100; rings++) waits.wakeup.requestSend();
    await setup.master.nextHeartbeat();
    await waits.begun(3);
    assert.deepEqual(waits.requested, [false, false, false]);
  }, waits);
});

test("runLoop() keeps the gap between two requested heartbeats", async (setup) => {
  const wakeup = new Wakeup();
  const minEarlyGapMs = 700;
  await withLoop(setup, async () => {
    await setup.master.nextHeartbeat();
    const rungAt = performance.now();
    wakeup.requestSend();
    await setup.master.nextHeartbeat();
    wakeup.requestSend();
    await setup.master.nextHeartbeat();
    assert.ok(performance.now() - rungAt >= minEarlyGapMs, "the second came too early");
  }, { wakeup, minEarlyGapMs });
});

test("runLoop() does not lose a request that comes during a heartbeat", async (setup) => {
  const waits = new Waits();
  setup.master.answer = (heartbeat) => {
    if (heartbeat === 1) waits.wakeup.requestSend();
    return { status: 204 };
  };
  await withLoop(setup, async () => {
    await setup.master.nextHeartbeat();
    await setup.master.nextHeartbeat();
    await waits.begun(3);
    assert.deepEqual(waits.requested, [false, true, false]);
  }, waits);
});

test("runLoop() ignores requests while the master asked for a pause", async (setup) => {
  const waits = new Waits();
  setup.master.answer = { status: 503, headers: { "retry-after": "3000" } };
  await withLoop(setup, async () => {
    await setup.master.nextHeartbeat();
    await waits.begun(2);
    assert.equal(Math.round(waits.all[1]!), 3_000_000);
    for (const begun of [3, 4]) {
      waits.wakeup.requestSend();
      await waits.begun(begun);
    }
    const [, , third, fourth] = waits.all;
    assert.ok(third! < 3_000_000 && fourth! < third! && fourth! > 2_900_000, waits.all.join(" "));
    assert.equal(setup.master.heartbeatCount, 1);
  }, waits);
});

test("runLoop() sends a requested heartbeat in a backoff", async (setup) => {
  const waits = new Waits();
  setup.master.answer = [{ status: 500 }];
  await withLoop(setup, async () => {
    await setup.master.nextHeartbeat();
    await waits.begun(2);
    waits.wakeup.requestSend();
    await setup.master.nextHeartbeat(4_000);
  }, waits);
});

test("runLoop() sends nothing for a request that comes with the stop", async (setup) => {
  const waits = new Waits();
  await withLoop(setup, async ({ stop }) => {
    await setup.master.nextHeartbeat();
    await waits.begun(2);
    waits.wakeup.requestSend();
    await stop();
    waits.wakeup.requestSend();
    assert.equal(waits.wakeup.takeSendRequest(), true);
    assert.equal(setup.master.heartbeatCount, 1);
  }, waits);
  assert.equal(setup.master.heartbeatCount, 1);
});

test("runLoop() sends once for a request that comes in the gap", async (setup) => {
  const waits = new Waits();
  await withLoop(setup, async () => {
    await setup.master.nextHeartbeat();
    waits.wakeup.requestSend();
    await setup.master.nextHeartbeat();
    await waits.begun(3);
    waits.wakeup.requestSend();
    // The wait for its turn.
    await waits.begun(4);
    waits.wakeup.requestSend();
    await setup.master.nextHeartbeat();
    await waits.begun(6);
    assert.deepEqual(waits.requested.slice(4), [false, false], "it would send the same once more");
  }, { ...waits, minEarlyGapMs: 700 });
});

const kept: [what: string, answer: MasterAnswer][] = [
  ["has asked for a pause", { status: 429, headers: { "retry-after": "600" } }],
  ["fails", { status: 500 }],
];

for (const [what, answer] of kept) {
  test(`runLoop() reports changes of the host while a master ${what}`, async (setup) => {
    setup.master.answer = answer;
    const lines: string[] = [];
    const seen: Heartbeat[] = [];
    const stop = new AbortController();
    const agent = setup.newAgent();
    const steps = [
      () => setup.engine.containers = [container({ name: "decnet-x" })],
      () => setup.engine.containers = [],
    ];
    await runLoop(agent, AbortSignal.any([stop.signal, AbortSignal.timeout(20_000)]), {
      intervalMs: 20,
      // The longest backoff is far longer than the test.
      random: () => 0.99,
      log: createLog((line) => lines.push(line.trimEnd())),
      onReport: (heartbeat) => {
        seen.push(heartbeat);
        if (seen.length % 2 === 0 && steps.length === 0) stop.abort();
        else steps.shift()?.();
      },
    });
    agent.close();
    assert.deepEqual(lines.filter((line) => line.includes("drift")), [
      'level=warn msg="unexpected decnet-x (running)" subject=drift',
      'level=info msg="there is no drift any more"',
    ]);
    assert.equal(setup.master.heartbeatCount, 1);
    assert.equal(lines.filter((line) => line.includes("subject=master")).length, 1);
    assert.ok(seen.every(({ result }) => result.kind === "rejected"));
  });
}

test("runLoop() survives an unexpected error in a check", async (setup) => {
  setup.master.answer = { status: 429, headers: { "retry-after": "600" } };
  const lines: string[] = [];
  const stop = new AbortController();
  const agent = setup.newAgent();
  // The first report is of the heartbeat.
  let checks = -1;
  await runLoop(agent, AbortSignal.any([stop.signal, AbortSignal.timeout(20_000)]), {
    intervalMs: 20,
    log: createLog((line) => lines.push(line.trimEnd())),
    onReport: () => {
      if (++checks > 1) stop.abort();
      else if (checks === 1) throw new Error("unexpected");
    },
  });
  agent.close();
  assert.equal(checks, 2);
  const failures = lines.filter((line) => line.includes("level=error"));
  assert.deepEqual(failures, [
    'level=error msg="a report failed: unexpected"',
  ]);
});

test("runLoop() sends although a report fails", async (setup) => {
  const { lines, heartbeats } = await runHeartbeats(setup, 2, {
    onSnapshot: () => {
      throw new Error("unexpected");
    },
  });
  assert.deepEqual(lines, Array(2).fill('level=error msg="a report failed: unexpected"'));
  assert.deepEqual(heartbeats.map(({ result }) => result.kind), ["delivered", "delivered"]);
});

test("runLoop() keeps its pace when checks fail", async (setup) => {
  await withLoop(setup, async ({ wakeup, works, lines, agent }) => {
    await setup.master.nextHeartbeat();
    agent.collector.collect = () => Promise.reject(new Error("unexpected"));
    wakeup.requestCheck();
    await pause();
    assert.ok(works() > 2 && works() <= 6, `${works()} checks`);
    assert.match(lines[0]!, /a check of the host failed: unexpected/);
  });
});

test("runLoop() does one thing at a time while a check hangs", async (setup) => {
  setup.master.answer = { status: 429, headers: { "retry-after": "6" } };
  using _hung = listenWithoutAccepting(`${setup.path}/hung.sock`);
  const sockets = [setup.engine.socketPath];
  const phases: string[] = [];
  const lines: string[] = [];
  const stop = new AbortController();
  const agent = setup.newAgent({ sockets });
  let heartbeats = 0;
  await runLoop(agent, AbortSignal.any([stop.signal, AbortSignal.timeout(20_000)]), {
    intervalMs: 200,
    log: createLog((line) => lines.push(line.trimEnd())),
    onWork: (phase) => phases.push(phase),
    onHeartbeat: () => {
      sockets[0] = `${setup.path}/hung.sock`;
      if (++heartbeats === 2) stop.abort();
    },
  });
  agent.close();
  assert.equal(heartbeats, 2);
  // A heartbeat, a check that hangs, the next heartbeat: never two at a time.
  assert.deepEqual(phases, ["begin", "end", "begin", "end", "begin", "end"]);
  assert.deepEqual(lines.filter((line) => line.includes("aborted")), []);
});

test("runLoop() skips checks in a pause while the agent changes the host", async (setup) => {
  setup.master.answer = { status: 429, headers: { "retry-after": "1" } };
  const stop = new AbortController();
  const agent = setup.newAgent();
  let [heartbeats, works] = [0, 0];
  await runLoop(agent, AbortSignal.any([stop.signal, AbortSignal.timeout(20_000)]), {
    intervalMs: 20,
    log: () => {},
    isBusy: () => true,
    onWork: (phase) => works += phase === "begin" ? 1 : 0,
    onHeartbeat: () => {
      if (++heartbeats === 2) stop.abort();
    },
  });
  agent.close();
  assert.deepEqual([heartbeats, works - heartbeats], [2, 0]);
});

/** Lets time pass; 1.5 s are enough for what has begun to end, and for five checks. */
async function pause(ms = 1_500): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

const base = "decnet_t_11111111_decky-001";

/** All containers but the base are gone. */
function loseOne({ engine }: AgentSetup): void {
  engine.containers = engine.containers.filter(({ Names }) => Names[0] === `/${base}`);
}

test("runLoop() checks when that is requested, and sends a change only", async (setup) => {
  setup.apply();
  await withLoop(setup, async ({ wakeup, works }) => {
    await setup.master.nextHeartbeat();
    wakeup.requestCheck();
    await until(() => works() >= 2);
    assert.equal(setup.master.heartbeatCount, 1);
    loseOne(setup);
    wakeup.requestCheck();
    const { body } = await setup.master.nextHeartbeat();
    assert.deepEqual((body as { topology: { observed: unknown } }).topology.observed, {
      bridges: ["decnet_t_11111111_lan-00"],
      containers: [base],
    });
    // The check that finds and sends it, and those that follow a request.
    await until(() => works() >= 6);
    assert.equal(setup.master.heartbeatCount, 2);
  });
});

test("runLoop() does not check between heartbeats without a request", async (setup) => {
  await withLoop(setup, async ({ works }) => {
    await setup.master.nextHeartbeat();
    setup.apply();
    await pause();
    assert.deepEqual([works(), setup.master.heartbeatCount], [1, 1]);
  });
});

test("runLoop() sends at once when the store has changed", async (setup) => {
  await withLoop(setup, async ({ wakeup }) => {
    await setup.master.nextHeartbeat();
    setup.apply();
    setup.engine.containers = [...setup.engine.containers, container({ name: "not-ours" })];
    wakeup.requestCheck();
    await setup.master.nextHeartbeat();
  });
});

test("runLoop() checks again after a request, as lists come late", async (setup) => {
  setup.apply();
  await withLoop(setup, async ({ wakeup, works }) => {
    await setup.master.nextHeartbeat();
    wakeup.requestCheck();
    await until(() => works() >= 3);
    loseOne(setup);
    await setup.master.nextHeartbeat();
  });
});

test("runLoop() paces a flood of requests", async (setup) => {
  await withLoop(setup, async ({ wakeup, works }) => {
    await setup.master.nextHeartbeat();
    const flood = setInterval(() => wakeup.requestCheck(), 1);
    await pause(4_000);
    clearInterval(flood);
    assert.ok(works() > 2 && works() <= 16, `${works()} checks`);
    assert.equal(setup.master.heartbeatCount, 1);
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

test("runLoop() keeps the gap between changes, and sends the last one", async (setup) => {
  setup.apply();
  const minEarlyGapMs = 900;
  await withLoop(setup, async ({ wakeup }) => {
    await setup.master.nextHeartbeat();
    loseOne(setup);
    wakeup.requestCheck();
    await setup.master.nextHeartbeat();
    const firstAt = performance.now();
    setup.apply();
    wakeup.requestCheck();
    setup.engine.containers = [];
    wakeup.requestCheck();
    const { body } = await setup.master.nextHeartbeat();
    assert.ok(performance.now() - firstAt >= minEarlyGapMs - 300, "it came too early");
    assert.match(JSON.stringify(body), /"containers":\[\]/);
    await pause();
    assert.equal(setup.master.heartbeatCount, 3);
  }, { minEarlyGapMs });
});

test("runLoop() does not check while the agent changes the host", async (setup) => {
  let isBusy = true;
  await withLoop(setup, async ({ wakeup, works }) => {
    await setup.master.nextHeartbeat();
    setup.apply();
    wakeup.requestCheck();
    await pause();
    assert.deepEqual([works(), setup.master.heartbeatCount], [1, 1]);
    isBusy = false;
    wakeup.requestCheck();
    await setup.master.nextHeartbeat();
  }, { isBusy: () => isBusy });
});

test("runLoop() does not check for requests in a backoff or pause", async (setup) => {
  for (const headers of [{ "retry-after": "3600" }, {}]) {
    setup.master.answer = { status: 503, headers };
    const before = setup.master.heartbeatCount;
    await withLoop(setup, async ({ wakeup, works }) => {
      await setup.master.nextHeartbeat();
      setup.apply();
      wakeup.requestCheck();
      await pause();
      assert.deepEqual([works(), setup.master.heartbeatCount], [1, before + 1]);
    });
  }
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

/** Returns what a heartbeat says, without what differs each time. */
function saying({ body: { topology, ...rest } }: Heartbeat): string {
  return JSON.stringify({ ...rest, topology: topology && { ...topology, applied_at: 0 } });
}

/** A host that changes at random, and is listened to. */
class Host {
  engine: FakeEngine;
  readonly did: string[] = [];
  /** After each cut the loop waits longer for the next stream. */
  #cuts = 3;
  readonly #setup: AgentSetup;
  readonly #random: () => number;

  constructor(setup: AgentSetup, random: () => number) {
    this.#setup = setup;
    this.#random = random;
    this.engine = setup.engine;
  }

  pick<T>(of: readonly T[]): T {
    return of[Math.floor(this.#random() * of.length)]!;
  }

  async change(): Promise<void> {
    const { engine } = this;
    const draw = this.#random();
    if (draw < 0.5) {
      const name = this.pick(names);
      const rest = engine.containers.filter(({ Names }) => Names[0] !== `/${name}`);
      const isGone = this.#random() < 0.3;
      const state = this.pick(states);
      engine.containers = isGone ? rest : [...rest, { ...container({ name }), State: state }];
      this.did.push(`${name} ${isGone ? "gone" : state}`);
    } else if (draw < 0.65) {
      const name = this.pick(nets);
      const rest = engine.networks.filter(({ Name }) => Name !== name);
      engine.networks = rest.length < engine.networks.length ? rest : [...rest, network({ name })];
      this.did.push(name);
    } else if (draw < 0.8) {
      const is = this.pick(["put", "clear", "error"]);
      await asWriter(this.#setup.storePath, (store) => {
        if (is === "put") store.put(topologyId, versionHash, document);
        else if (is === "clear") store.clear(topologyId);
        else store.recordError(topologyId, `error ${this.did.length}`);
      });
      this.did.push(is);
    } else if (draw < 0.9) {
      engine.fault = this.pick(faults);
      this.did.push(JSON.stringify(engine.fault));
    } else if (this.#cuts > 0) {
      this.#cuts--;
      if (this.#random() < 0.5) {
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
    await pause(this.pick([0, 20, 110, 400, 7_000]));
  }
}

/** Lets a host change, and waits until the loop's last heartbeat says what a new check says. */
async function check(seed: number): Promise<void> {
  await using setup = await AgentSetup.create();
  setup.changeStore((store) => store.put(topologyId, versionHash, document));
  const host = new Host(setup, randomNumbers(seed * 1_000_003));
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
      const [is, sent] = [truth, loop.heartbeats.at(-1)].map((it) => it && saying(it));
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

test("runLoop() sends again and again, and stops at once in a wait", async (setup) => {
  await withLoop(setup, async () => {
    while (setup.master.heartbeatCount < 5) await setup.master.nextHeartbeat();
  }, { intervalMs: 10 });
  await withLoop(setup, async ({ stop, heartbeats }) => {
    await stop();
    assert.deepEqual(heartbeats, []);
  }, { random: 0.5 });
});

test("runLoop() stops at once while the master or the engine hangs", async (setup) => {
  for (const kind of ["hang", "half-open"] as const) {
    setup.master.answer = { kind };
    await withLoop(setup, async ({ stop, lines, heartbeats }) => {
      await setup.master.nextHeartbeat();
      await stop();
      assert.deepEqual([lines, heartbeats], [[], []]);
    });
  }
  setup.engine.fault = { kind: "hang" };
  const [asked, sent] = [setup.engine.requestCount, setup.master.heartbeatCount];
  await withLoop(setup, async ({ stop, lines, heartbeats }) => {
    await until(() => setup.engine.requestCount > asked);
    await stop();
    assert.deepEqual([lines, heartbeats], [[], []]);
  });
  assert.equal(setup.master.heartbeatCount, sent);
});

test("runLoop() sends nothing when it was stopped before it began", async (setup) => {
  const agent = setup.newAgent();
  const startedAt = performance.now();
  const options = { intervalMs: 8_000, log: () => {}, random: () => 0.5 };
  await runLoop(agent, AbortSignal.abort(), options);
  assert.ok(performance.now() - startedAt < 2_000);
  agent.close();
  assert.equal(setup.engine.requestCount, 0);
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
