import assert from "node:assert/strict";
import { container } from "../engine/mod.ts";
import { Host } from "./host.ts";
import { RunningAgent } from "./running_agent.ts";

type Observed = { readonly containers?: readonly string[] };

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
  // A beat whose answer was on its way when it was stopped is sent again, as it was.
  await agent.until(() => {
    const { topology } = master.beats.at(-1)!.body as { topology: { observed: Observed } };
    return topology.observed.containers?.includes("decnet-new") ?? false;
  });
  const toldMs = performance.now() - resumedAt;
  assert.ok(toldMs < 10_000, `told after ${toldMs} ms`);
  await agent.until(() => master.beatCount >= before + 3);
  const elapsedMs = performance.now() - resumedAt;
  // One is due at once, and one may have been sent again.
  assert.ok(elapsedMs > leastPaceMs - 500, `3 beats within ${elapsedMs} ms`);
  const { code, stderr } = await agent.stop();
  assert.equal(code, 0);
  assert.ok(!stderr.includes("subject=docker"), stderr);
});

Deno.test("decnet-agent that was stopped in the middle of a call still takes the engine's answer", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  engine.containers = [container({ name: "decnet-x" })];
  engine.latencyMs = 1_000;
  await using agent = new RunningAgent(["--interval=5s", ...host.flags()]);
  for (const path of ["/networks", "/containers"]) {
    const isAsked = () => engine.requests.at(-1)?.path.startsWith(path) ?? false;
    await agent.until(() => !isAsked());
    await agent.until(isAsked);
    agent.signal("SIGSTOP");
    // Longer than the call may take, and than both together may.
    await new Promise((resolve) => setTimeout(resolve, 8_500));
    agent.signal("SIGCONT");
    const before = engine.requestCount;
    await agent.until(() => engine.requestCount >= before + 2);
  }
  const { stdout, stderr } = await agent.stop();
  // Beats that say the same are printed once.
  assert.equal(stdout.split("\n").length, 2, stdout);
  assert.deepEqual(JSON.parse(stdout).topology.observed, {
    bridges: [],
    containers: ["decnet-x"],
  });
  assert.ok(!stderr.includes("subject=docker"), stderr);
});
