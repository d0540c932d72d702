// deno-lint-ignore-file no-console
/**
 * Which way to the engine costs what over many beats: `deno task bench:transport [BEATS]`. Each way
 * runs in a program of its own, compiled as the agent is, against the same stand-in engine.
 */
import { compileProgram, startStandIn, table } from "./harness.ts";

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

const beats = Deno.args[0] ?? "20000";
const folder = await Deno.makeTempDir({ prefix: "decnet-bench-" });
const socket = `${folder}/docker.sock`;
const program = `${folder}/beats`;
await compileProgram("bench/programs/beats.ts", program);
const engine = await startStandIn("engine", [socket], socket);
const masterPort = "18770";
const master = await startStandIn("master", [folder, masterPort], `${folder}/worker.key`);
const rows = [["transport", `MiB at ${Number(beats) / 10}`, `MiB at ${beats}`, "ms a beat"]];
try {
  for (const transport of transports) {
    const { success, stdout, stderr } = await new Deno.Command(program, {
      args: [transport, socket, beats, masterPort],
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    const { early, late, msPerBeat } = JSON.parse(new TextDecoder().decode(stdout));
    rows.push([transport, early, late, msPerBeat]);
    console.log(rows.at(-1)!.join("  "));
  }
} finally {
  for (const standIn of [engine, master]) {
    standIn.kill();
    await standIn.status;
  }
  await Deno.remove(folder, { recursive: true });
}
console.log(`\n${table(rows)}`);
