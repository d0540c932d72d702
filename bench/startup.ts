// deno-lint-ignore-file no-console
/**
 * What a health check costs as a whole process, beside an empty program, `docker ps` and a script in
 * Python: `deno task bench:startup [RUNS]`. Needs python3 with the docker SDK, and an engine with its
 * command line.
 */

import {
  compileProgram,
  type Figure,
  measureInTurn,
  printFigures,
  startStandIn,
  table,
} from "./harness.ts";

const runs = Number(Deno.args[0] ?? 40);
const folder = await Deno.makeTempDir({ prefix: "decnet-bench-" });
const realSocket = "/var/run/docker.sock";
const standIn = `${folder}/docker.sock`;
const store = `${folder}/state/topology.db`;

try {
  await using _engine = await startStandIn("engine", [standIn], standIn);
  await using _master = await startStandIn("master", [folder], `${folder}/worker.key`);
  await Deno.mkdir(`${folder}/state`);
  await Deno.rename(`${standIn}.db`, store);
  await compileProgram("bench/programs/empty.ts", `${folder}/empty`);
  await compileProgram("main.ts", `${folder}/agent`);
  const check = (socket: string, ...flags: string[]) => [
    `${folder}/agent`,
    "--once",
    `--state-dir=${folder}/state`,
    `--docker-host=unix://${socket}`,
    ...flags,
  ];
  const port = await Deno.readTextFile(`${folder}/port`);
  const toMaster = ["--master-host=127.0.0.1", `--swarmctl-port=${port}`]
    .concat("--master-name=master.test", "--host-uuid=bench", `--agent-dir=${folder}`);
  const script = new URL("./programs/check.py", import.meta.url).pathname;
  const results = await measureInTurn({
    "empty program": [`${folder}/empty`],
    "--once": check(realSocket),
    "docker ps -q": ["docker", "ps", "-q"],
    "the same in Python": ["python3", script, store, realSocket],
    "--once, stand-in engine": check(standIn),
    "--once with a beat": check(standIn, ...toMaster),
  }, runs);
  const of = (name: string) => results.get(name)!;
  const floor = of("empty program");
  const rows = [["whole process", "wall ms", "to empty", "processor ms", "peak MiB"]];
  for (const [name, { ms, cpuMs, mib }] of results) {
    const ratio = (ms / floor.ms).toFixed(2);
    rows.push([name, ms.toFixed(1), ratio, cpuMs.toFixed(1), mib.toFixed(1)]);
  }
  console.log(table(rows));
  const atMost = (name: string, a: number, b: number, goal: number): Figure => ({
    name,
    goal: `≤ ${goal} ×`,
    measured: `${(a / b).toFixed(2)} ×`,
    met: a / b <= goal,
  });
  const python = of("the same in Python").ms / of("--once").ms;
  printFigures([
    atMost("--once ÷ an empty program", of("--once").ms, floor.ms, 1.25),
    atMost("--once ÷ docker ps -q", of("--once").ms, of("docker ps -q").ms, 1),
    {
      name: "the same in Python ÷ --once",
      goal: "≥ 15 ×",
      measured: `${python.toFixed(1)} ×`,
      met: python >= 15,
    },
    {
      name: `--once, peak memory (an empty program: ${floor.mib.toFixed(0)} MiB)`,
      goal: "≤ 38 MiB",
      measured: `${of("--once").mib.toFixed(1)} MiB`,
      met: of("--once").mib <= 38,
    },
    atMost("--once with a beat ÷ an empty program", of("--once with a beat").ms, floor.ms, 4),
  ]);
} finally {
  await Deno.remove(folder, { recursive: true });
}
