import assert from "node:assert/strict";
import { Bell } from "./bell.ts";

/** So long that no test waits for it to pass. */
const longMs = 3_600_000;
const never = new AbortController().signal;

Deno.test("Bell.wait() ends when the time is up, and nothing has rung", async () => {
  const bell = new Bell();
  assert.equal(await bell.wait(1, never), true);
  assert.equal(bell.take(), false);
});

Deno.test("Bell.ring() ends the wait, and is taken once", async () => {
  const bell = new Bell();
  const waited = bell.wait(longMs, never);
  bell.ring();
  bell.ring();
  assert.equal(await waited, true);
  assert.deepEqual([bell.take(), bell.take()], [true, false]);
});

Deno.test("Bell.ring() is kept for whoever waits next, until it is taken", async () => {
  const bell = new Bell();
  bell.ring();
  assert.equal(await bell.wait(longMs, never), true);
  assert.equal(await bell.wait(longMs, never), true);
  assert.equal(bell.take(), true);
  const stop = new AbortController();
  const waited = bell.wait(longMs, stop.signal);
  stop.abort();
  assert.equal(await waited, false, "it still rang after it was taken");
});

Deno.test("Bell.wait() answers false when the signal is aborted, before or meanwhile", async () => {
  const bell = new Bell();
  const stop = new AbortController();
  const waited = bell.wait(longMs, stop.signal);
  stop.abort(new Error("stop"));
  assert.equal(await waited, false);
  assert.equal(await bell.wait(longMs, stop.signal), false);
  bell.ring();
  assert.equal(await bell.wait(longMs, stop.signal), false);
});

Deno.test("Bell.ring() does not end a wait that begins later than the one it was for", async () => {
  const bell = new Bell();
  await bell.wait(1, never);
  bell.ring();
  assert.equal(bell.take(), true);
  const waited = bell.wait(longMs, never);
  const first = await Promise.race([waited, Promise.resolve("still waiting")]);
  assert.equal(first, "still waiting");
  bell.ring();
  assert.equal(await waited, true);
});

Deno.test("Bell.wait() leaves nothing behind at the signal, however it ends", async () => {
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
  const bell = new Bell();
  await bell.wait(1, signal);
  const waited = bell.wait(longMs, signal);
  assert.equal(listeners.size, 1);
  bell.ring();
  await waited;
  await bell.wait(longMs, signal);
  assert.equal(listeners.size, 0);
});

Deno.test("Bell.hint() ends the wait of who takes hints, is taken once, and leaves rings alone", async () => {
  const bell = new Bell();
  const waited = bell.wait(longMs, never, { takesHints: true });
  bell.hint();
  bell.hint();
  assert.equal(await waited, true);
  assert.equal(await bell.wait(longMs, never, { takesHints: true }), true, "it was not kept");
  assert.deepEqual([bell.take(), bell.takeHint(), bell.takeHint()], [false, true, false]);
});

Deno.test("Bell.hint() does not end the wait of who takes none", async () => {
  const bell = new Bell();
  bell.hint();
  const waited = bell.wait(longMs, never);
  bell.hint();
  assert.equal(await Promise.race([waited, Promise.resolve("still waiting")]), "still waiting");
  bell.ring();
  assert.equal(await waited, true);
  assert.equal(bell.takeHint(), true);
});
