import assert from "node:assert/strict";
import { ClientGone, SerialQueue } from "./routes.ts";

const { signal: here } = new AbortController();

Deno.test("Turns.take() serves in the order they came, one at a time", async () => {
  const turns = new SerialQueue();
  const served: number[] = [];
  let running = 0;
  await Promise.all([1, 2, 3, 4].map(async (number) => {
    const end = await turns.take(here);
    assert.equal(++running, 1);
    served.push(number);
    await new Promise((resolve) => setTimeout(resolve, 5 - number));
    running--;
    end();
  }));
  assert.deepEqual(served, [1, 2, 3, 4]);
});

Deno.test("Turns.take() drops who has gone, and serves who came after", async () => {
  const turns = new SerialQueue();
  const end = await turns.take(here);
  const leaving = new AbortController();
  const dropped = turns.take(leaving.signal);
  const next = turns.take(here);
  leaving.abort();
  await assert.rejects(dropped, ClientGone);
  end();
  (await next)();
  await assert.rejects(turns.take(leaving.signal), ClientGone);
  (await turns.take(here))();
});
