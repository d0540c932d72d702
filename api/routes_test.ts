import assert from "node:assert/strict";
import { ClientGone, SerialQueue } from "./routes.ts";

const { signal: here } = new AbortController();

Deno.test("SerialQueue.enter() serves one at a time, in order", async () => {
  const queue = new SerialQueue();
  const served: number[] = [];
  let running = 0;
  await Promise.all([1, 2, 3, 4].map(async (number) => {
    const end = await queue.enter(here);
    assert.equal(++running, 1);
    served.push(number);
    await new Promise((resolve) => setTimeout(resolve, 5 - number));
    running--;
    end();
  }));
  assert.deepEqual(served, [1, 2, 3, 4]);
});

Deno.test("SerialQueue.enter() drops a client that has gone, serves the next", async () => {
  const queue = new SerialQueue();
  const end = await queue.enter(here);
  const leaving = new AbortController();
  const dropped = queue.enter(leaving.signal);
  const next = queue.enter(here);
  leaving.abort();
  await assert.rejects(dropped, ClientGone);
  end();
  (await next)();
  await assert.rejects(queue.enter(leaving.signal), ClientGone);
  (await queue.enter(here))();
});
