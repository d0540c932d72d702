import assert from "node:assert/strict";
import { firstDelayMs, listenDelayMs, nextDelayMs } from "./schedule.ts";

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

Deno.test("firstDelayMs() spreads a fleet over its first interval", () => {
  assert.deepEqual(rangeOf((random) => firstDelayMs(intervalMs, random)), [0, intervalMs]);
});

Deno.test("nextDelayMs() varies the interval by a fifth to either side", () => {
  for (const intervalMs of [5_000, 30_000, 60 * minuteMs]) {
    const history = { intervalMs, failures: 0, retryAfterMs: null };
    assert.deepEqual(
      rangeOf((random) => nextDelayMs(history, random)),
      [0.8 * intervalMs, 1.2 * intervalMs],
    );
  }
});

Deno.test("nextDelayMs() backs off from 5 s to 5 min, further with each failure", () => {
  const bounds = [10_000, 20_000, 40_000, 80_000, 160_000, 5 * minuteMs, 5 * minuteMs];
  const cases = [...bounds.entries(), [999, 5 * minuteMs], [2 ** 40, 5 * minuteMs]] as const;
  for (const [before, bound] of cases) {
    for (const intervalMs of [5_000, 30_000, 60 * minuteMs]) {
      const history = { intervalMs, failures: before + 1, retryAfterMs: null };
      assert.deepEqual(rangeOf((random) => nextDelayMs(history, random)), [5_000, bound]);
    }
  }
});

Deno.test("nextDelayMs() waits as long as the master asks, or a little longer, from 5 s to 1 h", () => {
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

Deno.test("nextDelayMs() spreads hosts that were asked to come at the same second", () => {
  for (const intervalMs of [5_000, 30_000, 10 * minuteMs]) {
    const history = { intervalMs, failures: 1, retryAfterMs: 5 * minuteMs };
    assert.deepEqual(
      rangeOf((random) => nextDelayMs(history, random)),
      [5 * minuteMs, 5 * minuteMs + 0.8 * intervalMs],
    );
  }
});

Deno.test("listenDelayMs() doubles with each failure, from 1 s to 1 min, less up to half of it", () => {
  const bounds = [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000];
  for (const [index, bound] of bounds.entries()) {
    const range = rangeOf((random) => listenDelayMs(index + 1, random));
    assert.deepEqual(range, [bound / 2, bound]);
  }
  assert.equal(listenDelayMs(10_000, 0), 30_000);
});
