import assert from "node:assert/strict";
import { type Beat, runLoop } from "../agent/mod.ts";
import { createLog } from "../host/mod.ts";
import { AgentSetup } from "./agent_setup.ts";
import type { MasterAnswer } from "./tls_master.ts";
import { witness } from "./secrets.ts";

const intervalMs = 30_000;
/** The largest number that Math.random() can give. */
const almostOne = 1 - 2 ** -53;

/** What a loop did over a number of beats. */
interface Course {
  /** The time before each beat, in milliseconds, rounded. */
  readonly waitsMs: number[];
  readonly lines: string[];
  readonly beats: Beat[];
}

/** Runs the loop for so many beats with waits that take no time. */
async function runBeats(
  setup: AgentSetup,
  count: number,
  { random = 0.5, before = () => {}, onBeat = () => {} }: {
    readonly random?: number;
    /** Runs before each beat, which is counted from 1. */
    readonly before?: (beat: number) => void | Promise<void>;
    /** Takes each beat, as the loop's own. */
    readonly onBeat?: () => void;
  } = {},
): Promise<Course> {
  const course: Course = { waitsMs: [], lines: [], beats: [] };
  const agent = setup.newAgent();
  try {
    await runLoop(agent, new AbortController().signal, {
      intervalMs,
      log: createLog((line) => course.lines.push(witness(line).trimEnd())),
      onBeat: (beat) => {
        course.beats.push(beat);
        onBeat();
      },
      random: () => random,
      wait: async (ms) => {
        course.waitsMs.push(Math.round(ms));
        if (course.waitsMs.length > count) return false;
        await before(course.waitsMs.length);
        return true;
      },
    });
  } finally {
    agent.close();
  }
  return course;
}

/** Whether a wait is as planned, less what the beat itself took. */
function isPaced(waitedMs: number, plannedMs: number): boolean {
  return waitedMs <= plannedMs && waitedMs > plannedMs - 10_000;
}

Deno.test("runLoop() waits for a random part of the first interval, then from beat to beat", async () => {
  await using setup = await AgentSetup.create();
  for (
    const [random, first, next] of [[0, 0, 24_000], [0.5, 15_000, 30_000], [0.75, 22_500, 33_000]]
  ) {
    const { waitsMs: [firstMs, ...laterMs] } = await runBeats(setup, 3, { random: random! });
    assert.equal(firstMs, first);
    assert.ok(laterMs.every((ms) => isPaced(ms, next!)), laterMs.join(" "));
  }
  assert.equal(setup.master.beatCount, 9);
});

Deno.test("runLoop() takes the time of a beat off the wait for the next", async () => {
  await using setup = await AgentSetup.create();
  // The list of containers has more than 2,000 bytes.
  setup.engine.fault = { kind: "slow", bytesPerSecond: 4_000, path: "/containers" };
  setup.apply();
  const { waitsMs } = await runBeats(setup, 1);
  assert.ok(waitsMs[1]! < intervalMs - 300 && waitsMs[1]! > 0, String(waitsMs[1]));
});

Deno.test("runLoop() writes nothing while all goes well", async () => {
  await using setup = await AgentSetup.create();
  setup.apply();
  const { lines, beats } = await runBeats(setup, 50);
  assert.deepEqual(lines, []);
  assert.equal(beats.length, 50);
  assert.equal(setup.master.beatCount, 50);
  assert.equal(setup.master.connectionCount, 1);
});

Deno.test("runLoop() backs off from a master at fault, writes seldom of it, and returns to its pace", async () => {
  await using setup = await AgentSetup.create();
  setup.master.answer = (beat) => beat <= 9 ? { status: 503, body: "busy" } : { status: 204 };
  const { waitsMs, lines } = await runBeats(setup, 11, { random: almostOne });
  assert.deepEqual(waitsMs.slice(1, 10), [
    ...[10_000, 20_000, 40_000, 80_000, 160_000],
    ...[300_000, 300_000, 300_000, 300_000],
  ]);
  assert.ok(waitsMs.slice(10).every((ms) => isPaced(ms, 36_000)));
  assert.deepEqual(lines, [
    ...[1, 2, 4, 8].map((failures) =>
      `level=warn msg="the master answered 503: \\"busy\\"" subject=master failures=${failures}`
    ),
    'level=info msg="the master accepts beats again" failures=9',
  ]);
});

Deno.test("runLoop() starts its backoff anew after each success", async () => {
  await using setup = await AgentSetup.create();
  const statuses = [500, 500, 204, 500, 403, 500];
  setup.master.answer = statuses.map((status): MasterAnswer => ({ status }));
  const { waitsMs } = await runBeats(setup, statuses.length, { random: almostOne });
  const [, first, second, well, third, refused, fourth] = waitsMs;
  assert.deepEqual([first, second, third, fourth], [10_000, 20_000, 10_000, 10_000]);
  assert.ok(isPaced(well!, 36_000) && isPaced(refused!, 36_000));
});

Deno.test("runLoop() backs off from a master that is gone", async () => {
  await using setup = await AgentSetup.create();
  await setup.master.stop();
  const { waitsMs, lines } = await runBeats(setup, 3, { random: 0 });
  assert.deepEqual(waitsMs.slice(1), [5_000, 5_000, 5_000]);
  assert.equal(lines.length, 2);
  assert.match(lines[1]!, /nobody listens there.* failures=2$/);
});

Deno.test("runLoop() waits as long as the master asks, within 5 s and 1 h", async () => {
  await using setup = await AgentSetup.create();
  const asked = ["7", "0", "86400", "60", "nonsense"];
  setup.master.answer = asked.map((seconds, index) => ({
    status: index % 2 === 0 ? 429 : 503,
    headers: { "retry-after": seconds },
  }));
  const { waitsMs } = await runBeats(setup, asked.length, { random: 0 });
  assert.deepEqual(waitsMs.slice(1), [7_000, 5_000, 3_600_000, 60_000, 5_000]);
});

Deno.test("runLoop() takes nothing off the pause that the master asks for", async () => {
  await using setup = await AgentSetup.create();
  setup.engine.fault = { kind: "slow", bytesPerSecond: 4_000, path: "/containers" };
  setup.apply();
  const headers = { "retry-after": "7" };
  setup.master.answer = [{ status: 403, headers }, { status: 503, headers }];
  const { waitsMs } = await runBeats(setup, 2, { random: 0.5 });
  assert.deepEqual(waitsMs.slice(1), [19_000, 19_000]);
});

Deno.test("runLoop() says that a beat failed in a way that nobody foresaw, and backs off", async () => {
  await using setup = await AgentSetup.create();
  const thrown = [new Error("boom"), "bang"];
  const onBeat = () => {
    if (thrown.length > 0) throw thrown.shift();
  };
  const { waitsMs, lines } = await runBeats(setup, 4, { random: almostOne, onBeat });
  assert.deepEqual(lines, [
    'level=error msg="the beat failed: boom"',
    'level=error msg="the beat failed: bang"',
  ]);
  assert.deepEqual(waitsMs.slice(1, 3), [10_000, 20_000]);
  assert.ok(waitsMs.slice(3).every((ms) => isPaced(ms, 36_000)), waitsMs.join(" "));
  assert.equal(setup.master.beatCount, 4);
});

Deno.test("runLoop() goes on at its pace after each refusal", async () => {
  await using setup = await AgentSetup.create();
  const statuses = [400, 403, 404, 422, 302];
  setup.master.answer = statuses.map((status): MasterAnswer => ({ status }));
  const { waitsMs, beats } = await runBeats(setup, 6);
  assert.ok(waitsMs.slice(1).every((ms) => isPaced(ms, intervalMs)), waitsMs.join(" "));
  assert.deepEqual(
    beats.map(({ delivery }) => delivery.result),
    [...statuses.map(() => "rejected"), "delivered"],
  );
});

Deno.test("runLoop() writes once that Docker is down and once that it is back, and beats all the while", async () => {
  await using setup = await AgentSetup.create();
  setup.apply();
  const { lines } = await runBeats(setup, 6, {
    before: (beat) => {
      setup.engine.fault = beat >= 2 && beat <= 4
        ? { kind: "status", status: 500, message: "down" }
        : undefined;
    },
  });
  assert.equal(setup.master.beatCount, 6);
  assert.equal(lines.length, 2);
  assert.match(lines[0]!, /^level=warn msg=".*answered with 500 \(down\)" subject=docker$/);
  assert.equal(lines[1], 'level=info msg="Docker answers again"');
});

Deno.test("runLoop() writes once that certificates are missing, keeps its pace, and sends when they come", async () => {
  await using setup = await AgentSetup.create();
  const [here, away] = [`${setup.path}/worker.crt`, `${setup.path}/away`];
  await Deno.rename(here, away);
  const { waitsMs, lines } = await runBeats(setup, 5, {
    before: (beat) => beat === 4 ? Deno.rename(away, here) : undefined,
  });
  assert.deepEqual(lines, [
    `level=warn msg="Cannot use ${here}: no such file; agent-dir tells where it must be" subject=certificates`,
    'level=info msg="the certificates are in order again"',
  ]);
  assert.ok(waitsMs.slice(1).every((ms) => isPaced(ms, intervalMs)));
  assert.equal(setup.master.beatCount, 2);
});
