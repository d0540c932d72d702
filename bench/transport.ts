// deno-lint-ignore-file no-console
/**
 * Measures what each way to the engine costs over many heartbeats: `deno task bench:transport
 * [HEARTBEATS]`. Each runs in a program of its own, compiled as the agent is, against the same
 * stand-in engine. Exits with 1 when the agent's memory grows.
 */

import { compileProgram, figure, printFigures, printTable } from "./harness.ts";
import { run, startStandIn, withAgent } from "./harness.ts";

const transports = [
  ...["agent", "agent, with a master", "agent, its master absent", "socket", "fetch, one client"],
  ...["fetch, one client without idle connections", "fetch, a client a heartbeat", "node:http"],
];
/** More than garbage that waits for its collection, in MiB. */
const allowedGrowth = 15;
const heartbeats = Deno.args[0] ?? "20000";

const rows = await withAgent(async (folder) => {
  const program = `${folder}/transports`;
  await compileProgram("bench/programs/transports.ts", program);
  const socket = `${folder}/docker.sock`;
  await using _engine = await startStandIn("engine", [socket], socket);
  await using _master = await startStandIn("master", [folder, 1], `${folder}/port`);
  const port = await Deno.readTextFile(`${folder}/port`);
  const rows = [];
  for (const name of transports) {
    const { stdout } = await run([program, name, socket, heartbeats, port]);
    const row: { early: number; late: number; ms: number } = JSON.parse(stdout);
    rows.push({ name, ...row, isAgent: name.startsWith("agent") });
    console.log(`${name}: ${row.late.toFixed(1)} MiB`);
  }
  return rows;
});
printTable(
  ["transport", `MiB at ${Number(heartbeats) / 10}`, `MiB at ${heartbeats}`, "ms a heartbeat"],
  rows.map(({ name, early, late, ms }) => [
    ...[name, early.toFixed(1), late.toFixed(1), ms.toFixed(2)],
  ]),
);
printFigures(
  rows.filter(({ isAgent }) => isAgent).map(({ name, late }) =>
    figure(`${name}: resident after ${heartbeats} heartbeats, no pause`, late, "≤ 55 MiB", 1)
  ),
);
const growing = rows.filter((it) => it.isAgent && it.late - it.early > allowedGrowth);
for (const { name } of growing) console.error(`${name}: grew by more than ${allowedGrowth} MiB`);
if (growing.length > 0) Deno.exit(1);
