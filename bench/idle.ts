// deno-lint-ignore-file no-console
/**
 * Measures an idle agent: `deno task bench:idle [SECONDS [INTERVAL]]`. The compiled agent listens to a
 * stand-in engine, as on a real one others may be at work, and sends to a master on the loopback. Its
 * processor time and its wake-ups, heartbeats included, are read from /proc.
 */

import { setTimeout as delay } from "node:timers/promises";
import { FakeEngine } from "../tests/support/engine/fake_engine.ts";
import { container, network } from "../tests/support/engine/state.ts";
import { figure, printFigures, withAgent } from "./harness.ts";
import { ListeningAgent } from "./agent.ts";

const seconds = Number(Deno.args[0] ?? 120);
const interval = Deno.args[1] ?? "30s";

/** Returns what a process and its threads have used until now. */
function usageOf(pid: number): { atMs: number; cpuMs: number; wakeUps: number } {
  let [cpuMs, wakeUps] = [0, 0];
  for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
    const folder = `/proc/${pid}/task/${name}`;
    const status = Deno.readTextFileSync(`${folder}/status`);
    wakeUps += Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(status)![1]);
    // Nanoseconds on the processor.
    cpuMs += Number(Deno.readTextFileSync(`${folder}/schedstat`).split(" ")[0]) / 1e6;
  }
  return { atMs: performance.now(), cpuMs, wakeUps };
}

await withAgent(async (folder) => {
  const prefix = "decnet_t_";
  const socket = `${folder}/docker.sock`;
  await using engine = await FakeEngine.start(socket);
  engine.networks = [network({ name: `${prefix}1_lan`, subnet: "10.0.0.0/24" })];
  engine.containers = Array.from({ length: 20 }, (_, index) => {
    return container({ name: `${prefix}1_web-${index}` });
  });
  const options = { socket, prefix, interval };
  await using agent = await ListeningAgent.start(`${folder}/agent`, folder, options);
  const { pid } = agent.process;
  // Starting is no part of it: two heartbeats, and the checks that follow them.
  for (let count = 0; count < 2; count++) await agent.master.nextHeartbeat(120_000);
  await delay(8_000);
  const before = usageOf(pid);
  const heartbeatsBefore = agent.master.heartbeatCount;
  await delay(seconds * 1000);
  const after = usageOf(pid);
  const elapsedMs = after.atMs - before.atMs;
  const heartbeats = agent.master.heartbeatCount - heartbeatsBefore;
  const wakeUps = (after.wakeUps - before.wakeUps) / elapsedMs * 60_000;
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  const residentMiB = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]) / 1024;
  console.log(`measured             ${(elapsedMs / 1000).toFixed(0)} s, ${heartbeats} heartbeats`);
  console.log(`wake-ups per minute  ${wakeUps.toFixed(0)}, of all threads`);
  const cpuSeconds = (after.cpuMs - before.cpuMs) / elapsedMs * 3600;
  printFigures([
    figure("an idle agent, processor time in an hour", cpuSeconds, "≤ 2 s"),
    figure("an idle agent, resident memory", residentMiB, "≤ 55 MiB", 1),
  ]);
});
