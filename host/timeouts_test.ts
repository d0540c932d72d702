import assert from "node:assert/strict";
import { TimeoutSet } from "./timeouts.ts";

Deno.test("TimeoutSet.start() calls back once when the time has come, or never", async () => {
  const timers = new TimeoutSet();
  const startedAt = performance.now();
  const calls: number[] = [];
  await new Promise<void>((resolve) => {
    timers.start(30, () => calls.push(30));
    timers.start(400, () => {
      calls.push(400);
      resolve();
    });
    timers.start(10, () => timers.start(5, () => calls.push(10)));
    timers.start(20, () => assert.fail("called off too late"))();
  });
  assert.deepEqual(calls.toSorted((a, b) => a - b), [10, 30, 400]);
  assert.ok(performance.now() - startedAt >= 399);
});

Deno.test("T5 TimeoutSet.start() does not count time while the process is stopped", async () => {
  const timers = new TimeoutSet();
  let isDue = false;
  const due = new Promise<void>((resolve) => {
    timers.start(500, () => {
      isDue = true;
      resolve();
    });
  });
  // Nothing else runs meanwhile, as if it were stopped.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 700);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(isDue, false);
  await due;
});
