import assert from "node:assert/strict";
import { Timers } from "./timers.ts";

Deno.test("Timers.start() calls back when the time has come, and only once", async () => {
  const timers = new Timers();
  const startedAt = performance.now();
  const calls: number[] = [];
  await new Promise<void>((resolve) => {
    timers.start(30, () => calls.push(30));
    timers.start(400, () => {
      calls.push(400);
      resolve();
    });
    timers.start(10, () => calls.push(10));
  });
  assert.deepEqual(calls.toSorted((a, b) => a - b), [10, 30, 400]);
  assert.ok(performance.now() - startedAt >= 399);
});

Deno.test("Timers.start() answers a function that calls the timer off", async () => {
  const timers = new Timers();
  const callOff = timers.start(20, () => assert.fail("called off too late"));
  callOff();
  await new Promise<void>((resolve) => timers.start(300, resolve));
});

Deno.test("Timers.start() can be called while a timer is due", async () => {
  const timers = new Timers();
  await new Promise<void>((resolve) => timers.start(1, () => timers.start(1, resolve)));
});

Deno.test("Timers.start() does not count the time in which the process was stopped", async () => {
  const timers = new Timers();
  let isDue = false;
  const due = new Promise<void>((resolve) => {
    timers.start(500, () => {
      isDue = true;
      resolve();
    });
  });
  // Nothing else runs meanwhile, as if it were stopped.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2_000);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(isDue, false);
  await due;
});
