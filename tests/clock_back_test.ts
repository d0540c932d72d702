import assert from "node:assert/strict";
import { AgentSetup } from "./agent_setup.ts";

const never = new AbortController().signal;

Deno.test("Agent.beat() takes no service for older than a base that was started before the clock was set back", async () => {
  await using setup = await AgentSetup.create();
  setup.apply();
  // Docker's word for less than nothing, and a service that was started anew since.
  for (const container of setup.engine.containers) {
    container.Status = container.Names[0]!.endsWith("-ssh")
      ? "Up 5 minutes"
      : "Up Less than a second";
  }
  const agent = setup.newAgent();
  const { stock: { drift } } = await agent.beat(never, { dryRun: true });
  agent.close();
  assert.equal(drift.state, "consistent");
});
