import assert from "node:assert/strict";
import { container } from "../engine/mod.ts";
import { Host } from "./host.ts";
import { RunningAgent } from "./running_agent.ts";

/** The least between two beats at an interval of 5 s. */
const leastPaceMs = 4_000;
/** So long that two or three beats would have been due. */
const pauseMs = 12_500;

Deno.test("decnet-agent that was stopped for a while beats within an interval, and makes up for nothing", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  const { master } = await host.startMaster();
  await using agent = new RunningAgent(["--interval=5s", ...host.flags(master)]);
  await agent.until(() => master.beatCount >= 2);
  agent.signal("SIGSTOP");
  const before = master.beatCount;
  await new Promise((resolve) => setTimeout(resolve, pauseMs));
  assert.equal(master.beatCount, before);
  engine.containers = [container({ name: "decnet-new" })];
  agent.signal("SIGCONT");
  const resumedAt = performance.now();
  await agent.until(() => master.beatCount >= before + 1);
  const { topology } = master.beats.at(-1)!.body as { topology: { observed: unknown } };
  assert.deepEqual(topology.observed, { bridges: [], containers: ["decnet-new"] });
  await agent.until(() => master.beatCount >= before + 3);
  const elapsedMs = performance.now() - resumedAt;
  // One is due at once, and one of the others may be out of turn.
  assert.ok(elapsedMs > leastPaceMs - 500, `3 beats within ${elapsedMs} ms`);
  const { code, stderr } = await agent.stop();
  assert.equal(code, 0);
  assert.deepEqual(stderr.match(/msg=("[^"]*"|\S+)/g), [
    "msg=started",
    'msg="unexpected decnet-new (running)"',
    "msg=stopped",
  ]);
});
