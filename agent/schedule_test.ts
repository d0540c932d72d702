import assert from "node:assert/strict";
import { HeartbeatScheduler, nextDelayMs, RecheckBackoff, Wakeup } from "./schedule.ts";

const intervalMs = 30_000;
const minuteMs = 60_000;
/** The largest number that Math.random() can give. */
const almostOne = 1 - 2 ** -53;

/** Answers the least and the greatest delay, and checks that all between are possible. */
function rangeOf(delay: (random: number) => number): [least: number, most: number] {
  const [least, most] = [delay(0), delay(almostOne)];
  const drawn = Array.from({ length: 5_000 }, () => delay(Math.random()));
  assert.ok(drawn.every((ms) => ms >= least && ms <= most));
  const middle = (least + most) / 2;
  const below = drawn.filter((ms) => ms < middle).length / drawn.length;
  assert.ok(below > 0.4 && below < 0.6, `${below} of the delays lie in the lower half`);
  return [Math.round(least), Math.round(most)];
}

Deno.test("nextDelayMs() varies the interval, and spreads what the master asks", () => {
  for (const intervalMs of [5_000, 30_000, 10 * minuteMs]) {
    const cases: [failures: number, retryAfterMs: number | null, range: [number, number]][] = [
      [0, null, [0.8 * intervalMs, 1.2 * intervalMs]],
      // Hosts that were asked to come at the same second.
      [1, 5 * minuteMs, [5 * minuteMs, 5 * minuteMs + 0.8 * intervalMs]],
    ];
    for (const [failures, retryAfterMs, range] of cases) {
      const history = { intervalMs, failures, retryAfterMs };
      assert.deepEqual(rangeOf((random) => nextDelayMs(history, random)), range);
    }
  }
});

Deno.test("nextDelayMs() backs off from 5 s to 5 min, further with each failure", () => {
  const limits = [10_000, 20_000, 40_000, 80_000, 160_000, 5 * minuteMs, 5 * minuteMs];
  const cases = [...limits.entries(), [999, 5 * minuteMs], [2 ** 40, 5 * minuteMs]] as const;
  for (const [before, bound] of cases) {
    for (const intervalMs of [5_000, 30_000, 60 * minuteMs]) {
      const history = { intervalMs, failures: before + 1, retryAfterMs: null };
      assert.deepEqual(rangeOf((random) => nextDelayMs(history, random)), [5_000, bound]);
    }
  }
});

Deno.test("nextDelayMs() waits as long as the master asks, from 5 s to 1 h", () => {
  const cases: [askedMs: number, leastMs: number, mostMs: number][] = [
    [0, 5_000, 29_000],
    [4_999, 5_000, 29_000],
    [5_000, 5_000, 29_000],
    [7_000, 7_000, 31_000],
    [30 * minuteMs, 30 * minuteMs, 30 * minuteMs + 24_000],
    [60 * minuteMs - 12_000, 60 * minuteMs - 12_000, 60 * minuteMs],
    [60 * minuteMs, 60 * minuteMs, 60 * minuteMs],
    [60 * minuteMs + 1, 60 * minuteMs, 60 * minuteMs],
    [Infinity, 60 * minuteMs, 60 * minuteMs],
  ];
  for (const [retryAfterMs, leastMs, mostMs] of cases) {
    for (const failures of [0, 1, 20]) {
      const delay = (random: number) => nextDelayMs({ intervalMs, failures, retryAfterMs }, random);
      assert.deepEqual([delay(0), Math.round(delay(almostOne))], [leastMs, mostMs]);
    }
  }
});

/** So long that no test waits for it to pass. */
const longMs = 3_600_000;
const never = new AbortController().signal;

/** Returns whether a wait has not ended yet. */
async function isWaiting(waited: Promise<boolean>): Promise<boolean> {
  return await Promise.race([waited, Promise.resolve("waiting")]) === "waiting";
}

Deno.test("Wakeup.wait() ends in time, and returns false when it is aborted", async () => {
  const wakeup = new Wakeup();
  assert.equal(await wakeup.wait(1, never), true);
  assert.equal(wakeup.take("send"), false);
  const stop = new AbortController();
  const waited = wakeup.wait(longMs, stop.signal);
  stop.abort(new Error("stop"));
  assert.equal(await waited, false);
  assert.equal(await wakeup.wait(longMs, stop.signal), false);
  wakeup.requestSend();
  assert.equal(await wakeup.wait(longMs, stop.signal), false);
});

Deno.test("Wakeup.requestSend() ends each wait until it is taken", async () => {
  const wakeup = new Wakeup();
  const waited = wakeup.wait(longMs, never);
  wakeup.requestSend();
  wakeup.requestSend();
  assert.equal(await waited, true);
  assert.equal(await wakeup.wait(longMs, never), true, "it was not kept");
  assert.deepEqual([wakeup.take("send"), wakeup.take("send")], [true, false]);
  const next = wakeup.wait(longMs, never);
  assert.ok(await isWaiting(next), "it still ended a wait after it was taken");
  wakeup.requestSend();
  assert.equal(await next, true);
});

Deno.test("Wakeup.requestCheck() ends waits for checks only, until it is taken", async () => {
  const wakeup = new Wakeup();
  const waited = wakeup.wait(longMs, never, { forChecks: true });
  wakeup.requestCheck();
  wakeup.requestCheck();
  assert.equal(await waited, true);
  assert.equal(await wakeup.wait(longMs, never, { forChecks: true }), true, "it was not kept");
  const other = wakeup.wait(longMs, never);
  wakeup.requestCheck();
  assert.ok(await isWaiting(other));
  wakeup.requestSend();
  assert.equal(await other, true);
  assert.deepEqual(
    [wakeup.take("send"), wakeup.take("check"), wakeup.take("check")],
    [true, true, false],
  );
});

Deno.test("Wakeup.wait() leaves no listener at the signal", async () => {
  const { signal } = new AbortController();
  const listeners = new Set<unknown>();
  const [add, remove] = [signal.addEventListener, signal.removeEventListener];
  signal.addEventListener = (type: string, listener: EventListener) => {
    listeners.add(listener);
    add.call(signal, type, listener);
  };
  signal.removeEventListener = (type: string, listener: EventListener) => {
    listeners.delete(listener);
    remove.call(signal, type, listener);
  };
  const wakeup = new Wakeup();
  await wakeup.wait(1, signal);
  const waited = wakeup.wait(longMs, signal);
  assert.equal(listeners.size, 1);
  wakeup.requestSend();
  await waited;
  await wakeup.wait(longMs, signal);
  assert.equal(listeners.size, 0);
});

/** Returns the times of checks, up to a time; each takes a millisecond. */
function checkTimes(
  backoff: RecheckBackoff,
  { untilMs, requestAt = () => false, changed = () => false }: {
    readonly untilMs: number;
    readonly requestAt?: (ms: number) => boolean;
    readonly changed?: (ms: number) => boolean;
  },
): number[] {
  const times: number[] = [];
  for (let now = 0; now < untilMs; now++) {
    if (requestAt(now)) backoff.request(now);
    if (now < backoff.dueAt) continue;
    times.push(now);
    backoff.checked(now, changed(now));
  }
  return times;
}

const once = [100, 200, 400, 800, 1_600, 3_200, 6_400];
const times: [title: string, requests: number[], changes: number[], expected: number[]][] = [
  ["has no check due without a request", [], [], []],
  ["checks 100 ms after a request, then less often", [0], [], once],
  ["continues after a change: another may come later", [0], [100], once],
  ["starts again with a request that comes in between", [0, 1_700], [], [
    ...[100, 200, 400, 800, 1_600],
    ...[1_800, 1_900, 2_100, 2_500, 3_300, 4_900, 8_100],
  ]],
];

for (const [title, requests, changes, expected] of times) {
  Deno.test(`RecheckBackoff ${title}`, () => {
    const found = checkTimes(new RecheckBackoff(), {
      untilMs: 60_000,
      requestAt: (ms) => requests.includes(ms),
      changed: (ms) => changes.includes(ms),
    });
    assert.deepEqual(found, expected);
  });
}

Deno.test("RecheckBackoff slows down to one check in 5 s, and recovers", () => {
  const backoff = new RecheckBackoff();
  const flooded = checkTimes(backoff, { untilMs: 60_000, requestAt: () => true });
  const gaps = flooded.map((ms, index) => ms - (flooded[index - 1] ?? 0));
  assert.ok(flooded.length <= 25, `${flooded.length} checks`);
  assert.deepEqual(gaps.slice(-5), [5_000, 5_000, 5_000, 5_000, 5_000]);
  for (const everyMs of [150, 500, 2_000]) {
    const requestAt = (ms: number) => ms % everyMs === 0;
    const times = checkTimes(new RecheckBackoff(), { untilMs: 600_000, requestAt });
    assert.ok(times.length < 600, `every ${everyMs} ms: ${times.length} checks in 10 min`);
  }
  for (backoff.checked(60_000, false); backoff.dueAt < Infinity;) {
    backoff.checked(backoff.dueAt, false);
  }
  backoff.request(80_000);
  assert.equal(backoff.dueAt, 80_100);
});

Deno.test("RecheckBackoff is fast again when a check has found a change", () => {
  const backoff = new RecheckBackoff();
  checkTimes(backoff, { untilMs: 60_000, requestAt: () => true });
  backoff.checked(60_000, true, 1);
  backoff.request(60_000);
  assert.equal(backoff.dueAt, 60_100);
});

Deno.test("RecheckBackoff spends at most a quarter of the time on checks", () => {
  for (const tookMs of [100, 300, 800]) {
    for (const everyMs of [50, 500, 2_000, 7_000]) {
      const backoff = new RecheckBackoff();
      let spentMs = 0;
      for (let now = 0; now < 600_000; now++) {
        if (now % everyMs === 0) backoff.request(now);
        if (now < backoff.dueAt) continue;
        now += tookMs;
        spentMs += tookMs;
        backoff.checked(now, false, tookMs);
      }
      assert.ok(spentMs <= 600_000 / 4, `${tookMs} ms, every ${everyMs} ms: ${spentMs / 6_000} %`);
    }
  }
});

Deno.test("RecheckBackoff checks at least twice after a request", () => {
  const backoff = new RecheckBackoff();
  backoff.request(0);
  backoff.checked(8_100, false, 8_000);
  assert.equal(backoff.dueAt, 8_100 + 3_200);
});

type SendOutcome = Parameters<HeartbeatScheduler["sent"]>[0];
const accepted: SendOutcome = { isFailure: false, retryAfterMs: null };
const failed: SendOutcome = { isFailure: true, retryAfterMs: null };
const paused: SendOutcome = { isFailure: true, retryAfterMs: 100_000 };

/** What happens to a scheduler, in this order, and what it is expected to answer. */
interface Step {
  /** Time passes before the request. */
  readonly pass?: number;
  readonly request?: "send" | "check";
  /** Time passes until the next check, which must be due after so many milliseconds. */
  readonly after?: number;
  readonly skip?: true;
  /** A check finds these contents. They must be sent, with that outcome, or must not (null). */
  readonly finds?: string;
  readonly sends?: SendOutcome | null;
}

/** An interval of 30 s, the random number 0.5, and 5 s between early heartbeats. */
const schedules: [title: string, steps: Step[]][] = [
  ["starts at a random point of the first interval", [
    { after: 15_000, finds: "a", sends: accepted },
    { after: 30_000, finds: "a", sends: accepted },
    { after: 30_000 },
  ]],
  ["sends at once when that is requested", [
    { request: "send", after: 0, finds: "a", sends: accepted },
    { pass: 7_000, request: "send", after: 0, finds: "a", sends: accepted },
    { after: 30_000 },
  ]],
  ["keeps 5 s between early heartbeats", [
    { after: 15_000, finds: "a", sends: accepted },
    { pass: 24_000, request: "send", after: 0, finds: "a", sends: accepted },
    { pass: 1_000, request: "send", after: 4_000, finds: "a", sends: accepted },
    { after: 30_000 },
  ]],
  ["checks several times after a request", [
    { after: 15_000, finds: "a", sends: accepted },
    { pass: 5_000, request: "check", after: 100, finds: "a", sends: null },
    { after: 100, finds: "b", sends: accepted },
    { after: 200, finds: "b", sends: null },
  ]],
  ["delays a change that comes too early", [
    { after: 15_000, finds: "a", sends: accepted },
    { pass: 5_000, request: "send", after: 0, finds: "a", sends: accepted },
    { pass: 900, request: "check", after: 100, finds: "b", sends: null },
    { after: 4_000, finds: "a", sends: accepted },
  ]],
  ["takes a skipped check for one without a change", [
    { after: 15_000, finds: "a", sends: accepted },
    { pass: 5_000, request: "check", after: 100, skip: true },
    { after: 100, finds: "b", sends: accepted },
  ]],
  ["ignores changes while it backs off", [
    { after: 15_000, finds: "a", sends: failed },
    { request: "check", after: 7_500, finds: "b", sends: failed },
    { after: 12_500, finds: "c", sends: failed },
    { pass: 1_000, request: "send", after: 0, finds: "d", sends: failed },
    { after: 30_000 },
  ]],
  ["checks at each interval of a long wait", [
    { after: 15_000, finds: "a", sends: paused },
    { after: 30_000, finds: "b", sends: null },
    { after: 30_000, skip: true },
    { after: 30_000, finds: "c", sends: null },
    { after: 22_000, finds: "c", sends: accepted },
    { after: 30_000 },
  ]],
  ["ignores all requests in a pause", [
    { after: 15_000, finds: "a", sends: { isFailure: false, retryAfterMs: 5_000 } },
    { request: "send" },
    { request: "check", after: 17_000, finds: "b", sends: accepted },
  ]],
];

/** Returns a scheduler, and a function that lets time pass. */
function schedulerWith(): { scheduler: HeartbeatScheduler; pass: (ms: number) => void } {
  let now = 0;
  const options = { intervalMs, now: () => now, random: () => 0.5 };
  return { scheduler: new HeartbeatScheduler(options), pass: (ms) => now += ms };
}

for (const [title, steps] of schedules) {
  Deno.test(`HeartbeatScheduler ${title}`, () => {
    const { scheduler, pass } = schedulerWith();
    for (const [index, { pass: ms = 0, request, after, skip, finds, sends }] of steps.entries()) {
      pass(ms);
      if (request === "send") scheduler.requestSend();
      if (request === "check") scheduler.requestCheck();
      if (after !== undefined) {
        assert.equal(scheduler.nextCheckMs(), after, `step ${index}`);
        pass(after);
      }
      if (skip) scheduler.checkSkipped();
      if (finds === undefined) continue;
      scheduler.checkStarted();
      assert.equal(scheduler.shouldSend(finds), sends !== null, `step ${index}`);
      if (sends) scheduler.sent(sends);
    }
  });
}

Deno.test("HeartbeatScheduler takes requests for checks when they matter", () => {
  const { scheduler, pass } = schedulerWith();
  const takes: boolean[] = [];
  const note = () => takes.push(scheduler.takesCheckRequests);
  const check = () => {
    pass(scheduler.nextCheckMs());
    scheduler.checkStarted();
    return scheduler.shouldSend("a");
  };
  note();
  for (const outcome of [failed, accepted]) {
    assert.equal(check(), true);
    scheduler.sent(outcome);
    note();
  }
  scheduler.requestCheck();
  note();
  assert.equal(check(), false);
  note();
  assert.deepEqual(takes, [false, false, true, false, true]);
});
