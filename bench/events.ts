// deno-lint-ignore-file no-console
/**
 * Measures how soon a master learns that a container was killed: `deno task bench:events [KILLS
 * [AGENTS]]`. The compiled agent, this machine's own engine, a master on the loopback; a kill counts
 * from its request to the arrival of the heartbeat that reports it. An agent sends early at most once
 * in 5 s, so several share the kills, each with containers of its own.
 */

import { setTimeout as delay } from "node:timers/promises";
import { DockerSandbox } from "../tests/engines/sandbox.ts";
import { call } from "../tests/support/engine/client.ts";
import { figure, percentile, printFigures, withAgent } from "./harness.ts";
import { ListeningAgent } from "./agent.ts";

const kills = Number(Deno.args[0] ?? 60);
const agentCount = Math.min(kills, Number(Deno.args[1] ?? 8));
const socket = "/var/run/docker.sock";
/** More than the least time between two early heartbeats. */
const pauseMs = 5_500;

/** Kills a container; returns after how many milliseconds the master knew of it. */
async function kill({ master }: ListeningAgent, name: string): Promise<number> {
  const startedAt = performance.now();
  const killed = call(socket, "POST", `/containers/${name}/kill`);
  for (;;) {
    const { body } = await master.nextHeartbeat(60_000);
    const elapsedMs = performance.now() - startedAt;
    const { topology } = body as { topology: { observed: { containers?: string[] } } };
    const { containers } = topology.observed;
    if (!containers || containers.includes(name)) continue;
    if ((await killed).status !== 204) throw new Error(`${name} could not be killed`);
    return elapsedMs;
  }
}

await withAgent(async (folder) => {
  await using stack = new AsyncDisposableStack();
  const sandbox = stack.use(await DockerSandbox.open(socket));
  const each = Math.ceil(kills / agentCount);
  const start = async (index: number) => {
    const prefix = `bench-${sandbox.tag}-${index}-`;
    await sandbox.makeNetwork(`${prefix}lan`, { subnet: sandbox.subnet(index) });
    const names = Array.from({ length: each }, (_, number) => `${prefix}${number}`);
    for (const [number, name] of names.entries()) {
      const addresses = new Map([[`${prefix}lan`, sandbox.address(index, number + 2)]]);
      await sandbox.makeContainer(name, { addresses });
    }
    const own = `${folder}/${index}`;
    await Deno.mkdir(own);
    const agent = await ListeningAgent.start(`${folder}/agent`, own, { socket, prefix });
    stack.use(agent);
    await agent.master.nextHeartbeat(60_000);
    return { agent, names };
  };
  const hosts = await Promise.all(Array.from({ length: agentCount }, (_, index) => start(index)));
  const elapsedMs: number[] = [];
  await Promise.all(hosts.map(async ({ agent, names }, index) => {
    // One after another, not all at once.
    await delay(index * pauseMs / agentCount);
    for (const name of names.slice(0, each)) {
      if (elapsedMs.length >= kills) break;
      elapsedMs.push(await kill(agent, name));
      await delay(pauseMs);
    }
  }));
  console.log(`${elapsedMs.length} kills, reported to the masters of ${agentCount} agents`);
  for (const [name, share] of [["95th percentile", 0.95], ["slowest", 1]] as const) {
    console.log(`${name.padEnd(16)} ${percentile(elapsedMs, share).toFixed(0)} ms`);
  }
  const name = "from docker kill to the heartbeat's arrival, median";
  printFigures([figure(name, percentile(elapsedMs, 0.5), "≤ 300 ms", 0)]);
});
