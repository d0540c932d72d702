// deno-lint-ignore-file no-console
/**
 * Runs all benchmarks, one after the other, and prints one table of their figures beside their goals:
 * `deno task bench`. With `brief` each runs just long enough to see that it works; such figures mean
 * nothing and are left out.
 */

import { type Figure, printFigures } from "./harness.ts";

/** Script → its arguments, and those of a brief run. */
const benchmarks: readonly [script: string, args: readonly string[], brief: readonly string[]][] = [
  ["startup", [], ["3"]],
  ["idle", [], ["5", "5s"]],
  ["events", [], ["4"]],
  ["logs", [], ["2000", "1"]],
  ["size", [], ["1", "100"]],
  ["topology", [], ["1", "200"]],
  ["apply_calls", [], ["1", "10"]],
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
const waiting = [...benchmarks];

/** Runs one benchmark after the other until none is left. */
async function runWaiting(): Promise<void> {
  for (let next = waiting.shift(); next; next = waiting.shift()) {
    const [script, args, brief] = next;
    const path = new URL(`${script}.ts`, import.meta.url).pathname;
    const stdout = isBrief ? "piped" : "inherit";
    if (!isBrief) console.log(`== ${script}`);
    const process = new Deno.Command(Deno.execPath(), {
      args: ["run", "-q", "-A", path, ...(isBrief ? brief : args)],
      env: { BENCH_FIGURES: gathered },
      stdin: "null",
      stdout,
      stderr: stdout,
    }).spawn();
    const output = isBrief ? await process.output() : null;
    if (output) console.log(`== ${script}\n${decode(output.stdout)}${decode(output.stderr)}`);
    if (!(await process.status).success) failed.push(script);
  }
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

// In brief, two at a time: nothing is measured.
await Promise.all(Array.from({ length: isBrief ? 2 : 1 }, runWaiting));
const lines = (await Deno.readTextFile(gathered)).trim().split("\n").filter(Boolean);
await Deno.remove(gathered);
if (!isBrief) printFigures(lines.map((line): Figure => JSON.parse(line)));
if (failed.length > 0) console.error(`These failed: ${failed.join(", ")}`);
Deno.exit(failed.length > 0 ? 1 : 0);
