import assert from "node:assert/strict";
import { Host } from "./host.ts";
import { RunningAgent } from "./running_agent.ts";

Deno.test("decnet-agent writes that the engine is gone while the master has asked for a pause", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  const { master } = await host.startMaster();
  master.answer = { status: 503, headers: { "retry-after": "600" } };
  const textfile = `${host.folder}/agent.prom`;
  const flags = ["--interval=5s", `--textfile=${textfile}`, ...host.flags(master)];
  await using agent = new RunningAgent(flags);
  const has = (line: string) => {
    try {
      return Deno.readTextFileSync(textfile).split("\n").includes(`decnet_agent_${line}`);
    } catch {
      return false;
    }
  };
  await agent.until(() => has("engine_up 1"));
  await engine.stop();
  await agent.until(() => has("engine_up 0"));
  // What was not sent is not counted as a beat, and what became of the last one still holds.
  assert.ok(has('beats_total{result="rejected"} 1'));
  assert.ok(has("status_code 2"));
  const { stderr } = await agent.stop();
  assert.equal(master.beatCount, 1);
  assert.equal(stderr.split("subject=docker").length, 2, stderr);
});
