// deno-lint-ignore-file no-console
/**
 * Which way to the engine costs what over many beats: `deno task bench:transport [BEATS]`. Each way
 * runs in a program of its own, compiled as the agent is, against the same stand-in engine. Exits 1
 * when the agent's memory grows meanwhile.
 */

import { compileProgram, type Figure, printFigures, startStandIn, table } from "./harness.ts";

const transports = [
  "agent",
  "agent, with a master",
  "agent, its master absent",
  "socket",
  "fetch, one client",
  "fetch, one client without idle connections",
  "fetch, a client a beat",
  "node:http",
];

/** More than garbage that waits for its collection makes up, in MiB. */
const allowedGrowth = 15;
const mostMiB = 55;
const heartbeats = Deno.args[0] ?? "20000";
const figures: Figure[] = [];
const rows = [[
  "transport",
  `MiB at ${Number(heartbeats) / 10}`,
  `MiB at ${heartbeats}`,
  "ms a beat",
]];
const growing: string[] = [];
const folder = await Deno.makeTempDir({ prefix: "decnet-bench-" });
try {
  const program = `${folder}/beats`;
  await compileProgram("bench/programs/beats.ts", program);
  const socket = `${folder}/docker.sock`;
  await using _engine = await startStandIn("engine", [socket], socket);
  await using _master = await startStandIn("master", [folder], `${folder}/worker.key`);
  const masterPort = await Deno.readTextFile(`${folder}/port`);
  for (const transport of transports) {
    const { success, stdout, stderr } = await new Deno.Command(program, {
      args: [transport, socket, heartbeats, masterPort],
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    const { early, late, msPerHeartbeat } = JSON.parse(new TextDecoder().decode(stdout));
    rows.push([transport, early, late, msPerHeartbeat]);
    console.log(rows.at(-1)!.join("  "));
    const isAgent = transport.startsWith("agent");
    if (isAgent) {
      const name = `${transport}: resident after ${heartbeats} beats without a pause`;
      const goal = `≤ ${mostMiB} MiB`;
      figures.push({ name, goal, measured: `${late} MiB`, met: Number(late) <= mostMiB });
    }
    if (isAgent && Number(late) - Number(early) > allowedGrowth) growing.push(transport);
  }
} finally {
  await Deno.remove(folder, { recursive: true });
}
console.log(`\n${table(rows)}`);
printFigures(figures);
if (growing.length > 0) {
  console.error(`More than ${allowedGrowth} MiB were added by: ${growing.join("; ")}`);
  Deno.exit(1);
}
