import { build } from "../tools/build.ts";
import { findRuntimeBase } from "../tools/runtime_base.ts";

/** One run of a command, as the operating system has accounted for it. */
interface Run {
  /** Wall time, in milliseconds. */
  readonly ms: number;
  /** Processor time, in milliseconds. */
  readonly cpuMs: number;
  /** Peak memory, in MiB. */
  readonly mib: number;
  readonly code: number;
}

/** The medians of several runs. */
type Medians = Omit<Run, "code">;

/**
 * Runs commands in turn, `runs` times each, and answers the medians by name. Throws `Error` for one
 * that ends with another code than 0 or 1, which is a check's warning.
 */
export async function measureInTurn(
  commands: Readonly<Record<string, readonly string[]>>,
  runs: number,
): Promise<Map<string, Medians>> {
  const script = new URL("./programs/measure.py", import.meta.url).pathname;
  const child = new Deno.Command("python3", {
    args: [script],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const order = new Blob([JSON.stringify({ runs, commands })]).stream().pipeTo(child.stdin);
  const [{ success, stdout }] = await Promise.all([child.output(), order]);
  if (!success) throw new Error(`Cannot measure: ${script} failed`);
  const results: Record<string, Run[]> = JSON.parse(new TextDecoder().decode(stdout));
  return new Map(
    Object.entries(results).map(([name, runs]) => {
      const failed = runs.find(({ code }) => code > 1);
      if (failed) throw new Error(`Cannot measure ${name}: it ended with ${failed.code}`);
      const of = (figure: keyof Run) => median(runs.map((run) => run[figure]));
      return [name, { ms: of("ms"), cpuMs: of("cpuMs"), mib: of("mib") }];
    }),
  );
}

/** The middle one of some values. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

const target = "x86_64-unknown-linux-gnu";

/** Compiles a program of this repository as the agent itself is compiled; V8 may get more flags. */
export async function compileProgram(
  entry: string,
  output: string,
  { v8Flags = [] }: { readonly v8Flags?: readonly string[] } = {},
): Promise<void> {
  const root = new URL("../", import.meta.url).pathname;
  const env = Deno.env.toObject();
  const { bytes } = await findRuntimeBase(target, { env });
  await build(root, output, { target, base: bytes, env, entry, v8Flags });
}

/** Starts a stand-in in a process of its own; it is ready when it has made the file `ready`. */
export async function startStandIn(
  name: "engine" | "crowded_engine" | "master" | "fleet_master",
  args: readonly string[],
  ready: string,
): Promise<Deno.ChildProcess> {
  const entry = new URL(`programs/${name}.ts`, import.meta.url).pathname;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", entry, ...args],
    stdin: "null",
    stdout: "null",
  }).spawn();
  let hasEnded = false;
  child.status.then(() => hasEnded = true);
  for (let attempt = 0; attempt < 500 && !hasEnded; attempt++) {
    if (await Deno.stat(ready).then(() => true, () => false)) return child;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await child[Symbol.asyncDispose]();
  throw new Error(`The stand-in ${name} ended at once, or did not start within 10 s`);
}

/** One figure of a benchmark beside what it should be. */
export interface Figure {
  readonly name: string;
  /** Empty where there is none. */
  readonly goal: string;
  readonly measured: string;
  /** Null where there is no goal, or the run was too short to tell. */
  readonly met: boolean | null;
}

/**
 * Prints figures as a table. They are also added, a JSON text a line, to the file that the variable
 * BENCH_FIGURES names, so that those of several benchmarks can be gathered.
 */
export function printFigures(figures: readonly Figure[]): void {
  const rows = figures.map(({ name, goal, measured, met }) => [
    name,
    goal,
    measured,
    met === null ? "" : met ? "yes" : "no",
  ]);
  // deno-lint-ignore no-console
  console.log(table([["figure", "goal", "measured", "met"], ...rows]));
  const path = Deno.env.get("BENCH_FIGURES");
  if (!path) return;
  const lines = figures.map((it) => `${JSON.stringify(it)}\n`).join("");
  Deno.writeTextFileSync(path, lines, { append: true });
}

/** Rows as a table with a heading, columns padded. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ") + "\n"
  )
    .join("");
}
