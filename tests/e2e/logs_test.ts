import assert from "node:assert/strict";
import { until } from "../support/environment.ts";
import { container } from "../support/engine/state.ts";
import { Host, RunningAgent } from "../support/executable.ts";
import { LogListener } from "../support/log_listener.ts";

const labels = { "decnet.topology.id": "11111111-0000", "decnet.topology.service": "true" };

Deno.test("L15 decnet-agent withstands 10,000 containers that come and go", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  const { master, authority } = await host.startMaster();
  await using listener = await LogListener.start({ authority });
  const flags = ["--interval=5s", `--syslog-port=${listener.port}`, ...host.flags(master)];
  await using agent = new RunningAgent(flags);
  await agent.until(() => engine.requestCount > 0);
  const startedAt = performance.now();
  for (let round = 0; round < 10; round++) {
    engine.containers = Array.from(
      { length: 1_000 },
      (_, at) => container({ name: `decnet_t_11111111_r${round}-${at}`, labels }),
    );
    for (const { Id, Names: [name] } of engine.containers) engine.logs.print(Id, `${name}\n`);
    engine.logs.end();
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
  // Those of the last round, which are read in turn.
  const last = new Set(engine.containers.map(({ Names: [name] }) => name!));
  await until(() => last.isSubsetOf(new Set(listener.lines)), { timeoutMs: 60_000 });
  const elapsedMs = performance.now() - startedAt;
  assert.ok(master.heartbeatCount >= Math.floor(elapsedMs / 6_000) - 1);
  assert.ok(engine.logs.followed.length <= 500);
  assert.ok(agent.peakMemory() < 160 * 2 ** 20, `${agent.peakMemory()} bytes`);
});
