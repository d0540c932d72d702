import assert from "node:assert/strict";
import { startDeadline } from "./deadline.ts";

/** Keeps the process from doing anything else, as if it was stopped. */
function freeze(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

Deno.test("startDeadline() lets what came while the process was stopped be read first", async () => {
  const told: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  startDeadline(1, () => {
    told.push("due");
    resolve();
  });
  freeze(300);
  setTimeout(() => told.push("read"), 50);
  await promise;
  assert.deepEqual(told, ["read", "due"]);
});

Deno.test("startDeadline() is called off, also when it has been put off", async () => {
  let isDue = false;
  const callOff = startDeadline(1, () => isDue = true);
  freeze(300);
  await new Promise((resolve) => setTimeout(resolve, 50));
  callOff();
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  assert.equal(isDue, false);
});

Deno.test("startDeadline() is due at its time in a process that runs", async () => {
  const startedAt = performance.now();
  await new Promise<void>((resolve) => startDeadline(30, resolve));
  assert.ok(performance.now() - startedAt >= 29);
});
