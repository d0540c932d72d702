import assert from "node:assert/strict";
import { execute, Host } from "./host.ts";
import { RunningAgent } from "./running_agent.ts";

Deno.test("decnet-agent doctor knows whether the loop that agent.lock names still runs", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  const lock = async () => {
    const { stdout } = await execute(["doctor", ...host.flags()]);
    return /^lock +(.*)$/m.exec(stdout)![1]!;
  };
  await using agent = new RunningAgent(["--interval=1h", ...host.flags()]);
  await agent.until(() => engine.requestCount > 0);
  assert.match(await lock(), /^ok +\S+ names process \d+ since \S+, and there is such a process$/);
  await agent.stop("SIGKILL");
  assert.match(await lock(), /^ok +\S+ was held by process \d+ since \S+, which has ended$/);
});
