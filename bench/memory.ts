// deno-lint-ignore-file no-console
/**
 * Measures the memory of the agent over many heartbeats without a pause: `deno task bench:memory
 * [HEARTBEATS]`. Each kind runs in a program of its own, compiled as the agent is, against the same
 * stand-in engine, all at once. Garbage comes and goes, so the most of each half is compared. Exits
 * with 1 when the second half has more.
 */

import { compileProgram, figure, printFigures, printTable } from "./harness.ts";
import { startStandIn, withAgent } from "./harness.ts";
import { cpuMsOf, memoryMiBOf } from "../tests/support/processes.ts";

/** How each heartbeat ends → in words. */
const kinds = {
  not_configured: "no master",
  delivered: "a master",
  unreachable: "the master absent",
} as const;
/** More than what differs from run to run, in MiB. */
const allowedGrowth = 1;
const heartbeats = Number(Deno.args[0] ?? 20_000);
/** Less is too short for the first half to reach its most. */
const canTell = heartbeats >= 10_000;
/** How often memory is read. */
const samples = 40;

/** Runs a program that waits for a byte when its memory is to be read. */
async function measure([program = "", ...args]: readonly string[]) {
  const streams = { stdin: "piped", stdout: "piped" } as const;
  await using child = new Deno.Command(program, { args, ...streams }).spawn();
  const input = child.stdin.getWriter();
  const output = child.stdout.getReader();
  const mib: number[] = [];
  let cpuMs = 0;
  while (!(await output.read()).done) {
    mib.push(memoryMiBOf(child.pid, "RssAnon"));
    cpuMs = cpuMsOf(child.pid);
    await input.write(new Uint8Array(1));
  }
  if (mib.length !== samples) throw new Error(`${program} ended early`);
  const halves = [mib.slice(0, samples / 2), mib.slice(samples / 2)];
  const [first, second] = halves.map((half) => Math.max(...half)) as [number, number];
  return { early: mib[1]!, first, second, cpuMs: cpuMs / heartbeats };
}

const rows = await withAgent(async (folder) => {
  const program = `${folder}/heartbeats`;
  await compileProgram("bench/programs/heartbeats.ts", program);
  const socket = `${folder}/docker.sock`;
  await using _engine = await startStandIn("engine", [socket], socket);
  await using _master = await startStandIn("master", [folder, 1], `${folder}/port`);
  const port = await Deno.readTextFile(`${folder}/port`);
  return await Promise.all(
    Object.entries(kinds).map(async ([kind, name]) => {
      const args = [kind, socket, String(heartbeats), String(samples), port];
      return { name, ...await measure([program, ...args]) };
    }),
  );
});
const half = (heartbeats / 2).toLocaleString("en");
printTable(
  [
    "anonymous MiB",
    `after ${(heartbeats / samples * 2).toLocaleString("en")}`,
    `most until ${half}`,
    `most after ${half}`,
    "processor ms a heartbeat",
  ],
  rows.map(({ name, early, first, second, cpuMs }) => {
    return [name, ...[early, first, second].map((mib) => mib.toFixed(1)), cpuMs.toFixed(2)];
  }),
);
const count = `in ${heartbeats.toLocaleString("en")} heartbeats`;
printFigures(rows.flatMap(({ name, first, second }) => [
  figure(
    `most anonymous memory ${count}, ${name}`,
    Math.max(first, second),
    "≤ 20 MiB",
    1,
    canTell,
  ),
  figure(
    "…, after half of them above before",
    second - first,
    `≤ ${allowedGrowth} MiB`,
    1,
    canTell,
  ),
]));
const growing = rows.filter(({ first, second }) => canTell && second - first > allowedGrowth);
for (const { name } of growing) console.error(`${name}: grew by more than ${allowedGrowth} MiB`);
if (growing.length > 0) Deno.exit(1);
