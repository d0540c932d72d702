/**
 * Measures a health check as a whole process, with a topology of two deckies that runs, beside an empty
 * program, docker's client and a script in Python: `deno task bench:startup [RUNS]`. Needs python3 with
 * the docker SDK, and an engine with its command line.
 */

import { dockerSocket } from "../tests/engines/engines.ts";
import { DockerSandbox } from "../tests/engines/sandbox.ts";
import { masterFlags } from "./agent.ts";
import { compileProgram, figure, measureInTurn, printFigures, printTable } from "./harness.ts";
import { run, startStandIn, withAgent } from "./harness.ts";
import { sandboxTopology } from "./sandbox.ts";

const runs = Number(Deno.args[0] ?? 40);

await withAgent(async (folder) => {
  await using sandbox = await DockerSandbox.open(dockerSocket);
  await using _master = await startStandIn("master", [folder, 1], `${folder}/port`);
  const { document, flags } = sandboxTopology(sandbox, folder, 2);
  await Deno.writeTextFile(`${folder}/document.json`, document);
  await run([`${folder}/agent`, "apply", `${folder}/document.json`, ...flags]);
  await compileProgram("bench/programs/empty.ts", `${folder}/empty`);
  const check = [`${folder}/agent`, "--once", ...flags];
  const toMaster = masterFlags(await Deno.readTextFile(`${folder}/port`), `${folder}/0`);
  const script = new URL("./programs/check.py", import.meta.url).pathname;
  const results = await measureInTurn({
    "empty program": [`${folder}/empty`],
    "--once": check,
    "docker ps -q; docker network ls -q": ["sh", "-c", "docker ps -q; docker network ls -q"],
    "--once with a master": [...check, ...toMaster],
    "the same in Python": ["python3", script, `${folder}/state/topology.db`, dockerSocket],
  }, runs);
  const of = (name: string) => results.get(name)!;
  const [empty, once] = [of("empty program"), of("--once")];
  printTable(
    ["whole process", "wall ms", "to empty", "processor ms", "peak MiB", "anonymous MiB"],
    [...results].map(([name, { ms, cpuMs, mib, anonymousMiB }]) => [
      ...[name, ms.toFixed(1), (ms / empty.ms).toFixed(2), cpuMs.toFixed(1)],
      ...[mib.toFixed(1), anonymousMiB.toFixed(1)],
    ]),
  );
  const docker = of("docker ps -q; docker network ls -q");
  const addedMiB = once.anonymousMiB - empty.anonymousMiB;
  printFigures([
    figure("--once ÷ an empty program", once.ms / empty.ms, "≤ 1.5 ×"),
    figure("--once ÷ docker's client, the same two lists", once.ms / docker.ms, "≤ 0.9 ×"),
    figure(
      "--once with a master ÷ an empty program",
      of("--once with a master").ms / empty.ms,
      "≤ 4.5 ×",
    ),
    figure("--once, anonymous memory above an empty program's", addedMiB, "≤ 9 MiB", 1),
  ]);
});
