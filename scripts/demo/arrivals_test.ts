import assert from "node:assert/strict";
import { Arrivals } from "./arrivals.ts";

const never = new AbortController().signal;

Deno.test("Arrivals.next() passes over what does not match, come before or later", async () => {
  const arrivals = new Arrivals<number>(never, String);
  arrivals.add(1);
  arrivals.add(2);
  assert.equal(await arrivals.next("an even one", (item) => item % 2 === 0), 2);
  const next = arrivals.next("four", (item) => item === 4);
  for (const item of [3, 4, 5]) arrivals.add(item);
  assert.equal(await next, 4);
  assert.equal(await arrivals.next("any", () => true), 5);
});

Deno.test("Arrivals.next() says what it waited for, and what came instead", async () => {
  const arrivals = new Arrivals<number>(never, (item) => `number ${item}`);
  await assert.rejects(arrivals.next("a one", () => true, 50), {
    message: "waited 0.05 s in vain for a one; nothing came",
  });
  arrivals.add(1);
  arrivals.add(7);
  await assert.rejects(arrivals.next("an even one", (item) => item % 2 === 0, 50), {
    message: "waited 0.05 s in vain for an even one; the last that came: number 7",
  });
});

Deno.test("Arrivals.clear() forgets what came before", async () => {
  const arrivals = new Arrivals<number>(never, String);
  arrivals.add(1);
  arrivals.clear();
  arrivals.add(2);
  assert.equal(await arrivals.next("any", () => true), 2);
});

Deno.test("Arrivals.next() ends with the signal", async () => {
  const controller = new AbortController();
  const arrivals = new Arrivals<number>(controller.signal, String);
  const next = arrivals.next("any", () => true);
  controller.abort(new Error("enough"));
  await assert.rejects(next, { message: "enough" });
  await assert.rejects(arrivals.next("any", () => true), { message: "enough" });
});
