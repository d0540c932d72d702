// deno-lint-ignore-file no-console
/**
 * What an idle loop costs: `deno task bench:idle [SECONDS [INTERVAL]]`. The compiled agent listens to
 * a stand-in engine, as on a real one others may be at work, and beats to a master on the loopback.
 * Its CPU time and its wake-ups (voluntary context switches of all its threads) are read from /proc at
 * the end of a beat, and again some beats later; beats are a part of them.
 */

import { setTimeout as pause } from "node:timers/promises";
import { FakeEngine } from "../tests/support/engine/fake_engine.ts";
import { container, network } from "../tests/support/engine/state.ts";
import { compileProgram, printFigures } from "./harness.ts";
import { ListeningAgent } from "./listening_agent.ts";

const seconds = Number(Deno.args[0] ?? 120);
const interval = Deno.args[1] ?? "30s";
const limitSeconds = 2;

interface Usage {
  readonly cpuMs: number;
  readonly wakeUps: number;
  readonly heartbeats: number;
  readonly at: number;
}

/** Reads what a process and its threads have used until now. */
function usageOf({ pid, master }: ListeningAgent): Usage {
  const folder = `/proc/${pid}/task`;
  let [cpuMs, wakeUps] = [0, 0];
  for (const { name } of Deno.readDirSync(folder)) {
    const status = Deno.readTextFileSync(`${folder}/${name}/status`);
    wakeUps += Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(status)![1]);
    // Time on the CPU, in nanoseconds.
    cpuMs += Number(Deno.readTextFileSync(`${folder}/${name}/schedstat`).split(" ")[0]) / 1e6;
  }
  return { cpuMs, wakeUps, heartbeats: master.heartbeatCount, at: performance.now() };
}

function residentMiB({ pid }: ListeningAgent): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]) / 1024;
}

async function main(): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "decnet-bench-" });
  try {
    await compileProgram("main.ts", `${folder}/agent`);
    await using stack = new AsyncDisposableStack();
    const prefix = "decnet_t_";
    const socket = `${folder}/docker.sock`;
    const engine = stack.use(await FakeEngine.start(socket));
    engine.networks = [network({ name: `${prefix}1_lan`, subnet: "10.0.0.0/24" })];
    engine.containers = Array.from({ length: 20 }, (_, index) => {
      return container({ name: `${prefix}1_web-${index}` });
    });
    const wish = { program: `${folder}/agent`, folder, socket, prefix, interval };
    const agent = stack.use(await ListeningAgent.start(wish));
    // The looks that follow the first ones, and the first full beats, are no part of it.
    for (let heartbeats = 0; heartbeats < 2; heartbeats++) {
      await agent.master.nextHeartbeat(120_000);
    }
    await pause(8_000);
    const before = usageOf(agent);
    await pause(seconds * 1000);
    const after = usageOf(agent);
    const elapsedMs = after.at - before.at;
    const heartbeats = after.heartbeats - before.heartbeats;
    const cpuSeconds = (after.cpuMs - before.cpuMs) / elapsedMs * 3600;
    const wakeUps = (after.wakeUps - before.wakeUps) / elapsedMs * 60_000;
    console.log(`measured             ${(elapsedMs / 1000).toFixed(0)} s, ${heartbeats} beats`);
    console.log(`wake-ups per minute  ${wakeUps.toFixed(0)}, of all threads`);
    console.log(`resident             ${residentMiB(agent).toFixed(1)} MiB`);
    const isGood = cpuSeconds <= limitSeconds;
    printFigures([{
      name: "the idle loop, processor time in an hour",
      goal: `≤ ${limitSeconds} s`,
      measured: `${cpuSeconds.toFixed(2)} s`,
      met: isGood,
    }]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) await main();
