import assert from "node:assert/strict";
import { type Beat, runLoop } from "../agent/mod.ts";
import { createLog } from "../host/mod.ts";
import { AgentSetup } from "./agent_setup.ts";
import { witness } from "./secrets.ts";

/** Runs the loop with real waits, stops it when it `isReady`, and answers the beats it noted. */
async function runUntil(setup: AgentSetup, intervalMs: number, isReady: () => Promise<unknown>) {
  const agent = setup.newAgent();
  const controller = new AbortController();
  const lines: string[] = [];
  const beats: Beat[] = [];
  const loop = runLoop(agent, controller.signal, {
    intervalMs,
    log: createLog((line) => lines.push(witness(line))),
    onBeat: (beat) => beats.push(beat),
  });
  await isReady();
  const startedAt = performance.now();
  controller.abort(new Error("the agent is stopping"));
  await loop;
  assert.ok(performance.now() - startedAt < 2_000);
  agent.close();
  return { lines, beats };
}

Deno.test("runLoop() beats again and again, and stops at once in a pause", async () => {
  await using setup = await AgentSetup.create();
  await runUntil(setup, 10, async () => {
    while (setup.master.beatCount < 5) await setup.master.nextBeat();
  });
  const { beats } = await runUntil(setup, 3_600_000, () => Promise.resolve());
  assert.deepEqual(beats, []);
});

Deno.test("runLoop() stops at once in a beat that hangs at the master, and says nothing of it", async () => {
  await using setup = await AgentSetup.create();
  for (const kind of ["hang", "half-open"] as const) {
    setup.master.answer = { kind };
    const { lines, beats } = await runUntil(setup, 1, () => setup.master.nextBeat());
    assert.deepEqual([lines, beats], [[], []]);
  }
});

Deno.test("runLoop() stops at once in a beat that hangs at the engine, and says nothing of it", async () => {
  await using setup = await AgentSetup.create();
  setup.engine.fault = { kind: "hang" };
  const { lines, beats } = await runUntil(setup, 1, async () => {
    while (setup.engine.requestCount === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  });
  assert.deepEqual([lines, beats], [[], []]);
  assert.equal(setup.master.beatCount, 0);
});

Deno.test("runLoop() makes no beat when it was stopped before it began", async () => {
  await using setup = await AgentSetup.create();
  const agent = setup.newAgent();
  const startedAt = performance.now();
  const options = { intervalMs: 8_000, log: () => {}, random: () => 0.5 };
  await runLoop(agent, AbortSignal.abort(), options);
  assert.ok(performance.now() - startedAt < 2_000);
  agent.close();
  assert.equal(setup.engine.requestCount, 0);
});
