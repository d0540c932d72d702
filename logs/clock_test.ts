import assert from "node:assert/strict";
import { TestClock } from "../tests/support/test_clock.ts";
import { ClockWatcher } from "./clock.ts";

const [second, hour, day] = [1_000, 3_600_000, 86_400_000];
/** For what passes while a test runs, and the clock is not exact. */
const toleranceMs = 1_000;

/** Checks that a time is some, or a little before. */
function assertJustBefore(actual: number, expected: number): void {
  assert.ok(actual < expected && actual > expected - toleranceMs, `${actual - expected} ms`);
}

Deno.test("ClockWatcher.earliestAfter() is just before a time of this process", () => {
  const clock = new ClockWatcher();
  assert.equal(clock.check(), null);
  const now = Date.now();
  assertJustBefore(clock.earliestAfter(now), now);
  assert.equal(clock.mayComeTwice(now), false);
});

Deno.test("ClockWatcher.earliestAfter() knows no time after one of the future", () => {
  const clock = new ClockWatcher();
  for (const time of [Date.now() + second, Date.now() + day, NaN]) {
    assert.equal(clock.earliestAfter(time), -Infinity);
    assert.equal(clock.mayComeTwice(time), true);
  }
});

Deno.test("ClockWatcher.earliestAfter() does not trust what it has not watched", () => {
  const clock = new ClockWatcher();
  const time = Date.now() - day;
  assertJustBefore(clock.earliestAfter(time), time - hour + toleranceMs / 2);
});

for (const setBackMs of [second, hour, day]) {
  Deno.test(`ClockWatcher.check() notices a clock set back by ${setBackMs} ms`, () => {
    using system = new TestClock();
    const clock = new ClockWatcher();
    const before = Date.now();
    system.set(-setBackMs);
    const setTo = clock.check();
    assertJustBefore(setTo!, before - setBackMs + toleranceMs / 2);
    assert.equal(clock.check(), null);
    // The same times have come before, or will come again.
    for (const time of [before, before - setBackMs + 500]) {
      assertJustBefore(clock.earliestAfter(time), before - setBackMs + toleranceMs / 2);
    }
    assert.equal(clock.mayComeTwice(before), true);
    // When it has caught up, there are new times.
    system.set(second);
    assert.equal(clock.check(), null);
    assert.equal(clock.mayComeTwice(before), true);
    assertJustBefore(clock.earliestAfter(Date.now()), Date.now());
  });
}

Deno.test("ClockWatcher.check() notices a clock that was set forward, and back", () => {
  using system = new TestClock();
  const clock = new ClockWatcher();
  const before = Date.now();
  system.set(day);
  assert.equal(clock.check(), null);
  const ahead = Date.now();
  system.set(0);
  assertJustBefore(clock.check()!, before + toleranceMs / 2);
  assertJustBefore(clock.earliestAfter(ahead), before + toleranceMs / 2);
});

Deno.test("ClockWatcher.check() adds up what it does not notice", () => {
  using system = new TestClock();
  const clock = new ClockWatcher();
  for (const byMs of [-40, -80]) {
    system.set(byMs);
    assert.equal(clock.check(), null);
  }
  system.set(-150);
  assert.notEqual(clock.check(), null);
});
