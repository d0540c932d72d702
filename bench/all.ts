// deno-lint-ignore-file no-console
/**
 * Runs all benchmarks and prints one table of their figures beside their goals: `deno task bench`. The
 * one of running agents takes ten minutes and little of the processor; meanwhile the others run, one
 * after the other. With `brief` each runs just long enough to see that it works; such figures mean
 * nothing and are left out.
 */

import { type Figure, printFigures } from "./harness.ts";

type Benchmark = readonly [script: string, args: readonly string[], brief: readonly string[]];

/** Script → its arguments, and those of a brief run. */
const benchmarks: readonly Benchmark[] = [
  ["startup", [], ["3"]],
  ["idle", [], ["5", "5"]],
  ["events", [], ["4"]],
  ["logs", [], ["2000", "1"]],
  ["size", [], ["1", "100"]],
  ["topology", [], ["1", "200"]],
  ["apply_calls", [], ["1", "10"]],
  ["apply_podman", [], ["1", "2"]],
  ["memory", [], ["200"]],
  ["fleet", [], ["10000", "1"]],
  ["fleet_real", [], ["30", "5", "10"]],
  ["binary", [], []],
];

const [mode, ...rest] = Deno.args;
if (rest.length > 0 || (mode !== undefined && mode !== "brief")) {
  console.error("Usage: deno task bench [brief]");
  Deno.exit(2);
}
const isBrief = mode === "brief";
const gathered = await Deno.makeTempFile({ prefix: "decnet-bench-" });
const failed: string[] = [];
/** Runs some benchmarks, one after the other. */
async function runInTurn(waiting: Benchmark[]): Promise<void> {
  for (let next = waiting.shift(); next; next = waiting.shift()) {
    const [script, args, brief] = next;
    const path = new URL(`${script}.ts`, import.meta.url).pathname;
    const output = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-q", "-A", path, ...(isBrief ? brief : args)],
      env: { BENCH_FIGURES: gathered },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).output();
    console.log(`== ${script}\n${decode(output.stdout)}${decode(output.stderr)}`);
    if (!output.success) failed.push(script);
  }
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

if (isBrief) {
  // Two at a time: nothing is measured.
  const waiting = [...benchmarks];
  await Promise.all([runInTurn(waiting), runInTurn(waiting)]);
} else {
  const isLong = ([script]: Benchmark) => script === "idle";
  await Promise.all([
    runInTurn(benchmarks.filter(isLong)),
    runInTurn(benchmarks.filter((it) => !isLong(it))),
  ]);
}
const lines = (await Deno.readTextFile(gathered)).trim().split("\n").filter(Boolean);
await Deno.remove(gathered);
if (!isBrief) printFigures(lines.map((line): Figure => JSON.parse(line)));
if (failed.length > 0) console.error(`These failed: ${failed.join(", ")}`);
Deno.exit(failed.length > 0 ? 1 : 0);
