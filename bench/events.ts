// deno-lint-ignore-file no-console
/**
 * How soon a master learns that a container was killed: `deno task bench:events [KILLS [AGENTS]]`.
 * The compiled agent, this machine's own engine, a master on the loopback; a kill counts from the
 * moment it is asked for to the arrival of the beat that tells it. Agents beat out of turn once in
 * 5 s, so several share the kills, each with containers of its own.
 */

import { setTimeout as pause } from "node:timers/promises";
import { DockerSandbox } from "../tests/engines/playground.ts";
import { call } from "../tests/support/engine/script.ts";
import { compileProgram, printFigures } from "./harness.ts";
import { ListeningAgent } from "./listening_agent.ts";

const kills = Number(Deno.args[0] ?? 100);
const agentCount = Math.min(kills, Number(Deno.args[1] ?? 8));
const socket = "/var/run/docker.sock";
/** Between two kills of one agent's containers, in milliseconds: more than between two such beats. */
const pauseMs = 5_500;
const limitMs = 300;

interface Told {
  readonly topology: { readonly observed: { readonly containers?: readonly string[] } };
}

/** Kills a container; answers after how many milliseconds the master knew of it. */
async function kill({ master }: ListeningAgent, name: string): Promise<number> {
  const startedAt = performance.now();
  const killed = call(socket, "POST", `/containers/${name}/kill`);
  for (;;) {
    const { body } = await master.nextHeartbeat(60_000);
    const elapsedMs = performance.now() - startedAt;
    const { containers } = (body as Told).topology.observed;
    if (!containers || containers.includes(name)) continue;
    if ((await killed).status !== 204) throw new Error(`${name} could not be killed`);
    return elapsedMs;
  }
}

function quantile(sorted: readonly number[], part: number): string {
  return `${Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]!)} ms`;
}

async function main(): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "decnet-bench-" });
  try {
    await compileProgram("main.ts", `${folder}/agent`);
    await using stack = new AsyncDisposableStack();
    const sandbox = stack.use(await DockerSandbox.open(socket));
    const each = Math.ceil(kills / agentCount);
    const hosts = Array.from({ length: agentCount }, async (_, index) => {
      const prefix = `bench-${sandbox.tag}-${index}-`;
      await sandbox.makeNetwork(`${prefix}lan`, { subnet: sandbox.subnet(index) });
      const names = Array.from({ length: each }, (_, number) => `${prefix}${number}`);
      for (const [number, name] of names.entries()) {
        const addresses = new Map([[`${prefix}lan`, sandbox.address(index, number + 2)]]);
        await sandbox.makeContainer(name, { addresses });
      }
      await Deno.mkdir(`${folder}/${index}`);
      const wish = { program: `${folder}/agent`, folder: `${folder}/${index}`, socket, prefix };
      const agent = stack.use(await ListeningAgent.start(wish));
      await agent.master.nextHeartbeat(60_000);
      return { agent, names };
    });
    const elapsed: number[] = [];
    await Promise.all((await Promise.all(hosts)).map(async ({ agent, names }, index) => {
      // One after another, not all at once.
      await pause(index * pauseMs / agentCount);
      for (const name of names) {
        if (elapsed.length >= kills) break;
        elapsed.push(await kill(agent, name));
        await pause(pauseMs);
      }
    }));
    const sorted = elapsed.toSorted((a, b) => a - b);
    console.log(`kills told           ${sorted.length}, to masters of ${agentCount} agents`);
    console.log(`median               ${quantile(sorted, 0.5)}`);
    console.log(`95th percentile      ${quantile(sorted, 0.95)}`);
    console.log(`slowest              ${quantile(sorted, 1)}`);
    const isGood = sorted[Math.floor(sorted.length / 2)]! <= limitMs;
    printFigures([{
      name: "from docker kill to the beat's arrival, median",
      goal: `≤ ${limitMs} ms`,
      measured: quantile(sorted, 0.5),
      met: isGood,
    }]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) await main();
