import assert from "node:assert/strict";
import { container } from "../engine/mod.ts";
import { execute, Host } from "./host.ts";
import { MemoryGroup, memoryGroups } from "./memory_group.ts";
import { RunningAgent } from "./running_agent.ts";

/** What a small host may spare for an agent, in MiB; a check needs 20, a loop 24. */
const enough = 96;

function containers(count: number) {
  return Array.from({ length: count }, (_, index) => container({ name: `decnet-x-${index}` }));
}

function test(name: string, run: () => Promise<void>): void {
  Deno.test({
    name: name + memoryGroups.suffix,
    ignore: memoryGroups.ignore,
    async fn() {
      memoryGroups.check();
      await run();
    },
  });
}

test(`decnet-agent --once works in ${enough} MiB, over TLS`, async () => {
  await using host = await Host.create();
  (await host.startEngine()).containers = containers(10);
  const { master } = await host.startMaster();
  using group = new MemoryGroup(enough);
  const args = ["--once", ...host.flags(master)];
  const { code, stdout, stderr } = await execute(args, group);
  assert.equal(code, 1, stdout + stderr);
  assert.equal(master.beatCount, 1);
  assert.match(stdout, /^DECNET WARNING - unexpected .* \| .*containers=10 .*master=0\.\d+s\n$/);
});

test(`decnet-agent beats in ${enough} MiB, over TLS`, async () => {
  await using host = await Host.create();
  (await host.startEngine()).containers = containers(10);
  const { master } = await host.startMaster();
  using group = new MemoryGroup(enough);
  await using agent = new RunningAgent(["--interval=5s", ...host.flags(master)], group);
  await agent.until(() => master.beatCount >= 3);
  assert.equal((await agent.stop()).code, 0);
});

test("decnet-agent --once is killed, and says nothing, where memory is far too small", async () => {
  await using host = await Host.create();
  (await host.startEngine()).containers = containers(10_000);
  using group = new MemoryGroup(32);
  // Where the kernel would rather turn pages over than kill, somebody else has to.
  const wrapper = [...group.wrapper, "timeout", "-s", "KILL", "20"];
  const { code, stdout } = await execute(["--once", ...host.flags()], { wrapper });
  assert.equal(code, 137);
  assert.equal(stdout, "");
});

Deno.test("decnet-agent is ended by V8 where its address space is limited", async () => {
  await using host = await Host.create();
  const wrapper = ["sh", "-c", 'ulimit -v 8388608; exec "$0" "$@"'];
  const { code, stdout, stderr } = await execute(["--once", ...host.flags()], { wrapper });
  // SIGTRAP. There is nothing that the agent could do; docs/reliability.md quotes this.
  assert.equal(code, 133);
  assert.equal(stdout, "");
  assert.match(stderr, /Fatal process out of memory: Oilpan: CagedHeap reservation\./);
});
