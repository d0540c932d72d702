// deno-lint-ignore-file no-console
/**
 * What a health check costs as a whole process: `deno task bench:startup [RUNS]`. The commands run in
 * turn, so that a machine which slows down slows them all; the ratio is that of the medians.
 */
import { compileProgram, startStandIn, table } from "./harness.ts";

const runs = Number(Deno.args[0] ?? 30);
const folder = await Deno.makeTempDir({ prefix: "decnet-bench-" });
const realSocket = "/var/run/docker.sock";

/** Wall time in ms and peak memory in MiB of one run. */
async function measure(command: readonly string[]): Promise<{ ms: number; code: number }> {
  const startedAt = performance.now();
  const { code } = await new Deno.Command(command[0]!, {
    args: command.slice(1),
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).output();
  return { ms: performance.now() - startedAt, code };
}

async function isThere(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

const engineSocket = `${folder}/docker.sock`;
try {
  await using _engine = await startStandIn("engine", [engineSocket], engineSocket);
  await Deno.mkdir(`${folder}/state`);
  await Deno.rename(`${engineSocket}.db`, `${folder}/state/topology.db`);
  await compileProgram("bench/programs/empty.ts", `${folder}/empty`);
  await compileProgram("main.ts", `${folder}/agent`);
  const check = [`${folder}/agent`, "--once", `--state-dir=${folder}/state`];
  const commands = new Map([
    ["empty program", [`${folder}/empty`]],
    ["--once, stand-in engine", [...check, `--docker-host=unix://${engineSocket}`]],
  ]);
  if (await isThere(realSocket)) {
    commands.set("--once, real engine", [...check, `--docker-host=unix://${realSocket}`]);
    if ((await measure(["sh", "-c", "docker ps -q"])).code === 0) {
      commands.set("docker ps -q", ["docker", "ps", "-q"]);
    }
  }
  const times = new Map([...commands.keys()].map((name) => [name, [] as number[]]));
  for (let run = -1; run < runs; run++) {
    for (const [name, command] of commands) {
      const { ms } = await measure(command);
      if (run >= 0) times.get(name)!.push(ms);
    }
  }
  const floor = median(times.get("empty program")!);
  const rows = [["whole process", "median ms", "ratio to empty"]];
  for (const [name, ms] of times) {
    rows.push([name, median(ms).toFixed(1), (median(ms) / floor).toFixed(2)]);
  }
  console.log(table(rows));
} finally {
  await Deno.remove(folder, { recursive: true });
}
