// deno-lint-ignore-file no-console
/**
 * All benchmarks, one after the other, and at the end one table of their figures beside their goals:
 * `deno task bench`. With `brief` each runs just long enough to see that it works, and says so little
 * of speed that its figures are left out.
 */

import { type Figure, printFigures } from "./harness.ts";

interface Benchmark {
  readonly script: string;
  readonly arguments: readonly string[];
  readonly brief: readonly string[];
}

const benchmarks: readonly Benchmark[] = [
  { script: "startup", arguments: [], brief: ["3"] },
  { script: "idle", arguments: [], brief: ["5", "5s"] },
  { script: "events", arguments: [], brief: ["4"] },
  { script: "size", arguments: [], brief: ["1", "100"] },
  { script: "topology", arguments: [], brief: ["1", "200"] },
  { script: "apply_calls", arguments: [], brief: ["1", "10"] },
  { script: "apply", arguments: ["3", "20"], brief: ["1", "6"] },
  { script: "transport", arguments: [], brief: ["200"] },
  { script: "fleet", arguments: [], brief: ["10000", "1"] },
  { script: "fleet_real", arguments: [], brief: ["30", "5", "10"] },
  { script: "binary", arguments: [], brief: [] },
];

const [mode, ...rest] = Deno.args;
if (rest.length > 0 || (mode !== undefined && mode !== "brief")) {
  console.error("Usage: deno task bench [brief]");
  Deno.exit(2);
}
const gathered = await Deno.makeTempFile({ prefix: "decnet-bench-" });
const failed: string[] = [];
try {
  for (const { script, brief, arguments: whole } of benchmarks) {
    const startedAt = performance.now();
    console.log(`== ${script}`);
    const path = new URL(`${script}.ts`, import.meta.url).pathname;
    const { success } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--allow-all", path, ...(mode === "brief" ? brief : whole)],
      env: { BENCH_FIGURES: gathered },
      stdin: "null",
    }).spawn().status;
    console.log(`${script}: ${Math.round((performance.now() - startedAt) / 1000)} s\n`);
    if (!success) failed.push(script);
  }
  const lines = (await Deno.readTextFile(gathered)).trim().split("\n").filter(Boolean);
  if (mode !== "brief") printFigures(lines.map((line): Figure => JSON.parse(line)));
} finally {
  await Deno.remove(gathered);
}
if (failed.length > 0) {
  console.error(`These failed: ${failed.join(", ")}`);
  Deno.exit(1);
}
