import assert from "node:assert/strict";
import { Host } from "./host.ts";
import { RunningAgent } from "./running_agent.ts";

Deno.test("decnet-agent that was stopped in the middle of a beat still takes the master's answer", async () => {
  await using host = await Host.create();
  await host.startEngine();
  const { master } = await host.startMaster();
  master.answer = { kind: "late", status: 204, ms: 500 };
  await using agent = new RunningAgent(["--interval=5s", ...host.flags(master)]);
  await agent.until(() => master.beatCount === 1);
  agent.signal("SIGSTOP");
  // Longer than the master may take.
  await new Promise((resolve) => setTimeout(resolve, 11_500));
  assert.equal(master.beatCount, 1);
  agent.signal("SIGCONT");
  await agent.until(() => master.beatCount === 2);
  const { stderr } = await agent.stop();
  assert.ok(!stderr.includes("subject=master"), stderr);
});
