import assert from "node:assert/strict";
import { Host, spawn } from "./host.ts";

/** The beats of these tests are 5 s apart, the least that can be configured. */
const interval = "--interval=5s";

async function stop(agent: Deno.ChildProcess, signal: Deno.Signal) {
  const startedAt = performance.now();
  agent.kill(signal);
  const { code, stderr } = await agent.output();
  return { code, stderr: new TextDecoder().decode(stderr), ms: performance.now() - startedAt };
}

async function openFiles(agent: Deno.ChildProcess): Promise<number> {
  return (await Array.fromAsync(Deno.readDir(`/proc/${agent.pid}/fd`))).length;
}

Deno.test("decnet-agent beats until SIGTERM, logs nothing meanwhile, and opens nothing more", async () => {
  await using host = await Host.create();
  await host.startEngine();
  const { master } = await host.startMaster();
  const agent = spawn([interval, ...host.flags(master)]);
  await master.nextBeat(10_000);
  await master.nextBeat(10_000);
  const filesBefore = await openFiles(agent);
  await master.nextBeat(10_000);
  assert.equal(await openFiles(agent), filesBefore);
  assert.equal(master.connectionCount, 1);
  const { code, stderr, ms } = await stop(agent, "SIGTERM");
  assert.equal(code, 0);
  assert.ok(ms < 2_000, `${ms} ms`);
  assert.deepEqual(stderr.match(/msg=\S+/g), ["msg=started", "msg=stopped"], stderr);
});

Deno.test("decnet-agent stops within 2 s while the engine hangs", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  engine.fault = { kind: "hang" };
  const agent = spawn([interval, ...host.flags()]);
  while (engine.requestCount === 0) await new Promise((resolve) => setTimeout(resolve, 20));
  const { code, ms } = await stop(agent, "SIGINT");
  assert.equal(code, 0);
  assert.ok(ms < 2_000, `${ms} ms`);
});

Deno.test("decnet-agent without a master prints its beats, each change once", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  const agent = spawn([interval, ...host.flags()]);
  while (engine.requestCount < 4) await new Promise((resolve) => setTimeout(resolve, 20));
  agent.kill("SIGTERM");
  const { stdout } = await agent.output();
  const lines = new TextDecoder().decode(stdout).trimEnd().split("\n");
  assert.equal(lines.length, 1);
  assert.deepEqual(JSON.parse(lines[0]!).topology.observed, { bridges: [], containers: [] });
});
