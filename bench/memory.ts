// deno-lint-ignore-file no-console
/**
 * Measures the memory of the agent over many heartbeats without a pause: `deno task bench:memory
 * [HEARTBEATS]`. Each kind runs in a program of its own, compiled as the agent is, against the same
 * stand-in engine. Exits with 1 when one grows.
 */

import { compileProgram, figure, printFigures, printTable } from "./harness.ts";
import { startStandIn, withAgent } from "./harness.ts";
import { memoryMiBOf } from "../tests/support/processes.ts";

/** How each heartbeat ends → in words. */
const kinds = {
  not_configured: "no master",
  delivered: "a master",
  unreachable: "the master absent",
} as const;
/** More than garbage that waits for its collection, in MiB. */
const allowedGrowth = 8;
const heartbeats = Deno.args[0] ?? "20000";

/** Runs a program that waits twice for a byte; returns its memory then, and what it prints last. */
async function measure([program = "", ...args]: readonly string[]) {
  const streams = { stdin: "piped", stdout: "piped" } as const;
  await using child = new Deno.Command(program, { args, ...streams }).spawn();
  const input = child.stdin.getWriter();
  const output = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const mib: number[] = [];
  let text: string | undefined;
  for (let read = await output.read(); !read.done; read = await output.read()) {
    text = read.value;
    mib.push(memoryMiBOf(child.pid, "RssAnon"));
    await input.write(new Uint8Array(1));
  }
  const [early, late] = mib;
  if (late === undefined) throw new Error(`${program} ended early`);
  return { early: early!, late, ms: Number(text) };
}

const rows = await withAgent(async (folder) => {
  const program = `${folder}/heartbeats`;
  await compileProgram("bench/programs/heartbeats.ts", program);
  const socket = `${folder}/docker.sock`;
  await using _engine = await startStandIn("engine", [socket], socket);
  await using _master = await startStandIn("master", [folder, 1], `${folder}/port`);
  const port = await Deno.readTextFile(`${folder}/port`);
  const rows = [];
  for (const [kind, name] of Object.entries(kinds)) {
    rows.push({ name, ...await measure([program, kind, socket, heartbeats, port]) });
  }
  return rows;
});
printTable(
  ["", `anonymous MiB at ${Number(heartbeats) / 10}`, `at ${heartbeats}`, "ms a heartbeat"],
  rows.map(({ name, early, late, ms }) => {
    return [name, early.toFixed(1), late.toFixed(1), ms.toFixed(2)];
  }),
);
printFigures(
  rows.map(({ name, late }) =>
    figure(`anonymous memory after ${heartbeats} heartbeats, ${name}`, late, "≤ 20 MiB", 1)
  ),
);
const growing = rows.filter(({ early, late }) => late - early > allowedGrowth);
for (const { name } of growing) console.error(`${name}: grew by more than ${allowedGrowth} MiB`);
if (growing.length > 0) Deno.exit(1);
