/**
 * Measures what a running agent costs, beside whole checks: `deno task bench:idle [SECONDS
 * [INTERVAL_SECONDS]]`. Three agents run at the same time: without a master, with one that keeps the
 * connection, and with one that closes it after 5 s, as the real one does. Meanwhile checks run once in
 * each interval, so that caches are as cold for them as for the agents. All look at one stand-in engine
 * and have the same topology in their stores.
 */

import { setTimeout as delay } from "node:timers/promises";
import { masterFlags, startAgent, startMaster } from "./agent.ts";
import { figure, measureInTurn, median, printFigures, printTable } from "./harness.ts";
import { startStandIn, withAgent } from "./harness.ts";
import { memoryMiBOf } from "../tests/support/processes.ts";

const seconds = Number(Deno.args[0] ?? 600);
const interval = Number(Deno.args[1] ?? 30);
const names = ["no master", "a master", "a master that closes connections"] as const;

/** What a process has used until now: processor time, and how often one of its threads has waited. */
function usageOf(pid: number): { cpuMs: number; wakeUps: number } {
  let [cpuMs, wakeUps] = [0, 0];
  for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
    const folder = `/proc/${pid}/task/${name}`;
    const status = Deno.readTextFileSync(`${folder}/status`);
    wakeUps += Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(status)![1]);
    // In nanoseconds.
    cpuMs += Number(Deno.readTextFileSync(`${folder}/schedstat`).split(" ")[0]) / 1e6;
  }
  return { cpuMs, wakeUps };
}

await withAgent(async (folder) => {
  const socket = `${folder}/docker.sock`;
  await using _engine = await startStandIn("engine", [socket], socket);
  const folders = ["alone", "kept", "closed", "checks"].map((name) => `${folder}/${name}`);
  const [alone = "", kept = "", closed = "", checks = ""] = folders;
  await using keeping = await startMaster([kept, checks]);
  await using closing = await startMaster([closed], 5_000);
  for (const state of folders.map((folder) => `${folder}/state`)) {
    await Deno.mkdir(state, { recursive: true });
    await Deno.copyFile(`${socket}.db`, `${state}/topology.db`);
  }
  const start = (own: string, port: number | null) =>
    startAgent(`${folder}/agent`, own, { port, socket, interval: `${interval}s` });
  const agents = [start(alone, null), start(kept, keeping.port), start(closed, closing.port)];
  const once = [`${folder}/agent`, "--once", `--state-dir=${checks}/state`];
  const commands = {
    [names[0]]: [...once, `--docker-host=unix://${socket}`],
    [names[1]]: [...once, `--docker-host=unix://${socket}`, ...masterFlags(keeping.port, checks)],
  };
  // Starting is no part of it: the first heartbeats, and the checks that follow them.
  await delay(interval * 1_500);
  const before = agents.map(({ pid }) => usageOf(pid));
  const startedAt = performance.now();
  const checked: Map<string, { cpuMs: number }>[] = [];
  while (performance.now() - startedAt < seconds * 1000) {
    await delay(interval * 1000);
    checked.push(await measureInTurn(commands, 1));
  }
  const intervals = (performance.now() - startedAt) / (interval * 1000);
  const rows = agents.map(({ pid }, index) => {
    const usage = usageOf(pid);
    return {
      name: names[index]!,
      cpuMs: (usage.cpuMs - before[index]!.cpuMs) / intervals,
      wakeUps: (usage.wakeUps - before[index]!.wakeUps) / intervals,
      anonymousMiB: memoryMiBOf(pid, "RssAnon"),
    };
  });
  for (const agent of agents) {
    agent.kill("SIGTERM");
    await agent.status;
  }
  const onceMs = (name: string) => median(checked.flatMap((it) => it.get(name)?.cpuMs ?? []));
  printTable(
    [`agent, ${interval} s`, "processor ms a heartbeat", "of --once", "wake-ups", "anonymous MiB"],
    rows.map(({ name, cpuMs, wakeUps, anonymousMiB }) => {
      const whole = onceMs(name);
      const ofOnce = whole ? `of ${whole.toFixed(1)}` : "";
      return [name, cpuMs.toFixed(2), ofOnce, wakeUps.toFixed(0), anonymousMiB.toFixed(1)];
    }),
  );
  const [without, withMaster, withClosing] = rows.map(({ cpuMs }) => cpuMs) as [
    number,
    number,
    number,
  ];
  const canTell = seconds >= 300;
  const ofCheck = "a heartbeat's processor time ÷ that of --once";
  const [first, second] = [without / onceMs(names[0]), withMaster / onceMs(names[1])];
  printFigures([
    figure(`${ofCheck}, no master`, first, "≤ 0.35 ×", 2, canTell),
    figure(`${ofCheck}, both with a master`, second, "≤ 0.7 ×", 2, canTell),
    [
      `…, a master that closes connections`,
      "",
      `${(withClosing / onceMs(names[1])).toFixed(2)} ×`,
      "",
    ],
  ]);
});
