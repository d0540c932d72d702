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
