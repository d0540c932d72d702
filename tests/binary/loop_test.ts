import assert from "node:assert/strict";
import { Host } from "./host.ts";
import { RunningAgent } from "./running_agent.ts";

/** The beats of these tests are 5 s apart, the least that can be configured. */
const interval = "--interval=5s";

Deno.test("decnet-agent beats until SIGTERM, logs nothing meanwhile, and opens nothing more", async () => {
  await using host = await Host.create();
  await host.startEngine();
  const { master } = await host.startMaster();
  await using agent = new RunningAgent([interval, ...host.flags(master)]);
  await agent.until(() => master.beatCount >= 2);
  const filesBefore = agent.openFiles().length;
  await agent.until(() => master.beatCount >= 3);
  assert.equal(agent.openFiles().length, filesBefore);
  assert.equal(master.connectionCount, 1);
  const { code, stderr, ms } = await agent.stop("SIGTERM");
  assert.equal(code, 0);
  assert.ok(ms < 2_000, `${ms} ms`);
  assert.deepEqual(stderr.match(/msg=\S+/g), ["msg=started", "msg=stopped"], stderr);
});

Deno.test("decnet-agent stops within 2 s while the engine hangs", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  engine.fault = { kind: "hang" };
  await using agent = new RunningAgent([interval, ...host.flags()]);
  await agent.until(() => engine.requestCount > 0);
  const { code, ms } = await agent.stop("SIGINT");
  assert.equal(code, 0);
  assert.ok(ms < 2_000, `${ms} ms`);
});

Deno.test("decnet-agent without a master prints its beats, each change once", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  await using agent = new RunningAgent([interval, ...host.flags()]);
  await agent.until(() => engine.requestCount >= 4);
  const { stdout } = await agent.stop("SIGTERM");
  const lines = stdout.trimEnd().split("\n");
  assert.equal(lines.length, 1);
  assert.deepEqual(JSON.parse(lines[0]!).topology.observed, { bridges: [], containers: [] });
});
