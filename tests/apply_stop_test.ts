import assert from "node:assert/strict";
import { type Outcome, Refusal } from "../apply/mod.ts";
import { oneLan, refusalOf, threeLans, withHost } from "./apply_host.ts";
import type { Fault } from "./engine/mod.ts";

const id = threeLans.plan.topologyId;
const interrupted = "interrupted, as the agent was stopped; apply it again or tear it down";

/** Aborts as soon as so many steps are done. */
function stopAfter(count: number) {
  const stop = new AbortController();
  let done = 0;
  const onStep = () => {
    if (++done === count) stop.abort(new Error("stopped by a test"));
  };
  return { signal: stop.signal, onStep };
}

/** Resolves when it is so. Throws `AssertionError` when it is not within 20 s. */
async function when(isSo: () => boolean): Promise<void> {
  const startedAt = performance.now();
  while (!isSo()) {
    assert.ok(performance.now() - startedAt < 20_000, "it has not come to that");
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** The last five steps, of the services, may all be under way already when the first is done. */
const lastSteps = 5;

/** What an apply was interrupted with; null when it was done before. */
async function interruption(run: Promise<Outcome>): Promise<string | null> {
  try {
    await run;
    return null;
  } catch (error) {
    assert.ok(error instanceof Refusal);
    assert.equal(error.kind, "failed");
    return error.message;
  }
}

Deno.test("Applier.apply() that is stopped after any step is done by a second one, or torn down", async () => {
  for (let steps = 1; steps < 12; steps++) {
    await withHost(async (host) => {
      const message = await interruption(host.apply(threeLans, stopAfter(steps)));
      if (message === null) {
        assert.ok(steps > 12 - lastSteps, `not interrupted after step ${steps}`);
        return await host.assertApplied(threeLans);
      }
      assert.equal(message, interrupted);
      const row = host.row();
      assert.deepEqual([row?.topologyId, row?.versionHash, row?.appliedAt], [id, "", 0]);
      assert.equal(row?.lastError, interrupted);
      host.assertOthers();
      if (steps % 2 === 0) {
        await host.apply(threeLans);
        await host.assertApplied(threeLans);
      }
      await host.teardown(id);
      host.assertNothingLeft();
    });
  }
});

Deno.test("Applier.apply() that is stopped with its last step is done", () =>
  withHost(async (host) => {
    assert.equal((await host.apply(threeLans, stopAfter(12))).changes, 12);
    await host.assertApplied(threeLans);
  }));

Deno.test("Applier.teardown() that is stopped after any step is done by a second one", async () => {
  for (let steps = 1; steps < 12; steps++) {
    await withHost(async (host) => {
      await host.apply(threeLans);
      assert.equal(await interruption(host.teardown(id, stopAfter(steps))), interrupted);
      assert.deepEqual(
        [host.row()?.versionHash, host.row()?.lastError],
        [threeLans.versionHash, interrupted],
      );
      await host.teardown(id);
      host.assertNothingLeft();
    });
  }
});

Deno.test("Applier.apply() in place of another topology, stopped after any step, is done by a second one", async () => {
  for (let steps = 1; steps < 15; steps++) {
    await withHost(async (host) => {
      await host.apply(oneLan);
      const options = { supersede: true };
      const run = host.apply(threeLans, { ...options, ...stopAfter(steps) });
      if (await interruption(run) === null) {
        assert.ok(steps > 15 - lastSteps, `not interrupted after step ${steps}`);
        return await host.assertApplied(threeLans);
      }
      // One decky with a service, and a LAN, had to go first.
      const isOld = host.row()?.topologyId === oneLan.plan.topologyId;
      assert.equal(isOld, steps < 3);
      assert.equal(host.row()?.lastError, interrupted);
      await host.apply(threeLans, options);
      await host.assertApplied(threeLans);
    });
  }
});

Deno.test("Applier.apply() lets the calls end that are under way, and sends no more", () =>
  withHost(async (host) => {
    const stop = new AbortController();
    host.engine.latencyMs = 150;
    const refusal = refusalOf(host.apply(threeLans, { signal: stop.signal }));
    await when(() => host.engine.changes.length === 3);
    stop.abort();
    assert.equal((await refusal).message, interrupted);
    assert.deepEqual(host.changes(), Array(3).fill("POST /networks/create"));
    const made = host.engine.networks.filter(({ Name }) => /lan-0[012]$/.test(Name));
    assert.equal(made.length, 3);
    // Nothing comes later either.
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.equal(host.changes().length, 3);
  }));

Deno.test("Applier.apply() changes nothing when it is stopped before", () =>
  withHost(async (host) => {
    const refusal = await refusalOf(host.apply(threeLans, { signal: AbortSignal.abort() }));
    assert.deepEqual(
      [refusal.kind, refusal.message],
      ["busy", "stopped before its turn had come"],
    );
    assert.equal(host.row(), null);
    assert.deepEqual(host.changes(), []);
    host.assertOthers();
  }));

const silences: [what: string, fault: Fault, changes: number][] = [
  ["look", { kind: "hang", path: "/networks", method: "GET" }, 0],
  ["look at an image", { kind: "hang", path: "/images/" }, 0],
  ["change", { kind: "hang", path: "/networks/create" }, 3],
  [
    "change that had its effect",
    { kind: "hang-body", effect: "after", path: "/containers/create" },
    7,
  ],
];
for (const [what, fault, changes] of silences) {
  Deno.test(`Applier.apply() that is stopped does not wait long for a ${what}`, () =>
    withHost(async (host) => {
      const stop = new AbortController();
      host.engine.fault = fault;
      const refusal = refusalOf(host.apply(threeLans, { signal: stop.signal }));
      await when(() => host.engine.changes.length === changes && host.engine.requestCount > 1);
      const startedAt = performance.now();
      stop.abort();
      const { kind, message } = await refusal;
      const tookMs = performance.now() - startedAt;
      assert.deepEqual([kind, message], ["failed", interrupted]);
      // It is 1.2 s; a look would take 5 s, and a change 60 s.
      assert.ok(tookMs < 4_000, `took ${tookMs} ms`);
      assert.equal(host.row()?.lastError, interrupted);
      const count = host.engine.requestCount;
      host.engine.fault = undefined;
      await new Promise((resolve) => setTimeout(resolve, 50));
      assert.equal(host.engine.requestCount, count);
      await host.apply(threeLans);
      await host.assertApplied(threeLans);
    }));
}
