import assert from "node:assert/strict";
import { execute, Host } from "./host.ts";
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

Deno.test("decnet-agent does not run twice with one state-dir, and says who runs", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  await using first = new RunningAgent([interval, ...host.flags()]);
  await first.until(() => engine.requestCount > 0);
  const { code, stderr } = await execute([interval, ...host.flags()]);
  assert.equal(code, 3);
  const line = stderr.trimEnd().split("\n").at(-1)!;
  assert.match(
    line,
    /^decnet-agent: another agent runs with this state-dir, held by process \d+ since \S+Z for the loop; stop that one first$/,
  );
  assert.ok(line.includes(` ${first.pid} `), line);
  const once = await execute(["--once", ...host.flags()]);
  assert.equal(once.code, 0, once.stdout);
  await first.stop("SIGKILL");
  await using next = new RunningAgent([interval, ...host.flags()]);
  const before = engine.requestCount;
  await next.until(() => engine.requestCount > before);
});
