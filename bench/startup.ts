/**
 * Measures a health check as a whole process, beside an empty program, `docker ps` and a script in
 * Python: `deno task bench:startup [RUNS]`. Needs python3 with the docker SDK, and an engine with its
 * command line.
 */

import { masterFlags } from "./agent.ts";
import { compileProgram, figure, measureInTurn, printFigures, printTable } from "./harness.ts";
import { startStandIn, withAgent } from "./harness.ts";

const runs = Number(Deno.args[0] ?? 40);
const realSocket = "/var/run/docker.sock";

await withAgent(async (folder) => {
  const standIn = `${folder}/docker.sock`;
  const store = `${folder}/state/topology.db`;
  await using _engine = await startStandIn("engine", [standIn], standIn);
  await using _master = await startStandIn("master", [folder, 1], `${folder}/port`);
  await Deno.mkdir(`${folder}/state`);
  await Deno.rename(`${standIn}.db`, store);
  await compileProgram("bench/programs/empty.ts", `${folder}/empty`);
  const check = (socket: string, ...flags: string[]) => [
    ...[`${folder}/agent`, "--once", `--state-dir=${folder}/state`],
    ...[`--docker-host=unix://${socket}`, ...flags],
  ];
  const toMaster = masterFlags(await Deno.readTextFile(`${folder}/port`), `${folder}/0`);
  const script = new URL("./programs/check.py", import.meta.url).pathname;
  const results = await measureInTurn({
    "empty program": [`${folder}/empty`],
    "--once": check(realSocket),
    "docker ps -q": ["docker", "ps", "-q"],
    "the same in Python": ["python3", script, store, realSocket],
    "--once, stand-in engine": check(standIn),
    "--once with a master": check(standIn, ...toMaster),
  }, runs);
  const of = (name: string) => results.get(name)!;
  const [empty, once] = [of("empty program"), of("--once")];
  printTable(
    ["whole process", "wall ms", "to empty", "processor ms", "peak MiB"],
    [...results].map(([name, { ms, cpuMs, mib }]) => {
      return [name, ms.toFixed(1), (ms / empty.ms).toFixed(2), cpuMs.toFixed(1), mib.toFixed(1)];
    }),
  );
  const withMaster = of("--once with a master").ms / empty.ms;
  printFigures([
    figure("--once ÷ an empty program", once.ms / empty.ms, "≤ 1.25 ×"),
    figure("--once ÷ docker ps -q", once.ms / of("docker ps -q").ms, "≤ 1 ×"),
    figure("the same in Python ÷ --once", of("the same in Python").ms / once.ms, "≥ 15 ×", 1),
    figure(
      `--once, peak memory (an empty program: ${empty.mib.toFixed(0)})`,
      once.mib,
      "≤ 38 MiB",
      1,
    ),
    figure("--once with a master ÷ an empty program", withMaster, "≤ 4 ×"),
  ]);
});
