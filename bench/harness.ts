import { findRuntimeBase } from "../tools/runtime_base.ts";
import { build } from "../tools/build.ts";

const root = new URL("../", import.meta.url).pathname;
const target = "x86_64-unknown-linux-gnu";

/** Compiles a program of this repository as the agent itself is compiled; V8 may get more flags. */
export async function compileProgram(
  entry: string,
  output: string,
  { v8Flags = [] }: { readonly v8Flags?: readonly string[] } = {},
): Promise<void> {
  const env = Deno.env.toObject();
  const { bytes } = await findRuntimeBase(target, { env });
  await build(root, output, { target, base: bytes, env, entry, v8Flags });
}

/** Runs `benchmark` in a temporary folder, with the agent compiled to `agent` there. */
export async function withAgent<T>(benchmark: (folder: string) => Promise<T>): Promise<T> {
  const folder = await Deno.makeTempDir({ prefix: "decnet-bench-" });
  try {
    await compileProgram("main.ts", `${folder}/agent`);
    return await benchmark(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/**
 * Runs a command to its end. Throws `Error` when it exits with another code than 0 or 1, which is a
 * warning.
 */
export async function run(
  [program = "", ...args]: readonly string[],
  input?: Uint8Array<ArrayBuffer>,
): Promise<{ ms: number; stdout: string }> {
  const startedAt = performance.now();
  const command = { args, stdin: "piped", stdout: "piped", stderr: "piped" } as const;
  const child = new Deno.Command(program, command).spawn();
  const sending = new Blob(input ? [input] : []).stream().pipeTo(child.stdin).catch(() => {});
  const [{ code, stdout, stderr }] = await Promise.all([child.output(), sending]);
  const ms = performance.now() - startedAt;
  if (code > 1) throw new Error(`${program} ${args}: ${new TextDecoder().decode(stderr)}`);
  return { ms, stdout: new TextDecoder().decode(stdout) };
}

/** One run of a command, as the operating system has accounted for it: times in ms, memory in MiB. */
type Run = Readonly<Record<"ms" | "cpuMs" | "mib" | "anonymousMiB" | "code", number>>;

/**
 * Runs commands in turn, `runs` times each, and returns the medians by name. Throws `Error` when one
 * exits with another code than 0 or 1.
 */
export async function measureInTurn(
  commands: Readonly<Record<string, readonly string[]>>,
  runs: number,
): Promise<Map<string, Omit<Run, "code">>> {
  const order = new TextEncoder().encode(JSON.stringify({ runs, commands }));
  const { stdout } = await run(["python3", `${root}bench/programs/measure.py`], order);
  const results = Object.entries<Run[]>(JSON.parse(stdout));
  return new Map(results.map(([name, runs]) => {
    const failed = runs.find(({ code }) => code > 1);
    if (failed) throw new Error(`Cannot measure ${name}: it ended with ${failed.code}`);
    const of = (key: keyof Run) => median(runs.map((it) => it[key]));
    const [ms, cpuMs, mib, anonymousMiB] = [of("ms"), of("cpuMs"), of("mib"), of("anonymousMiB")];
    return [name, { ms, cpuMs, mib, anonymousMiB }];
  }));
}

/** Returns the value that a share of them does not exceed; NaN if there is none. */
export function percentile(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) * share)] ?? NaN;
}

/** Returns the middle one of some values. */
export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/** Starts a stand-in in a process of its own; it is ready when the file `ready` exists. */
export async function startStandIn(
  name: "engine" | "master",
  args: readonly (string | number)[],
  ready: string,
): Promise<Deno.ChildProcess> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "-A", `${root}bench/programs/${name}.ts`, ...args.map(String)],
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

/** One figure of a benchmark; `met` is empty where there is no goal, or the run was too short. */
export type Figure = readonly [name: string, goal: string, measured: string, met: string];

/**
 * Returns a figure whose goal is like `≤ 4 ×` or `≥ 15 MiB`, with its comparison and its unit.
 * `canTell` is false for a run that is too short to say whether the goal is met.
 */
export function figure(name: string, value: number, goal: string, digits = 2, canTell = true) {
  const [, comparison, text, unit] = /^([≤<≥]) ([\d.]+)(.*)$/.exec(goal)!;
  const bound = Number(text);
  const met = { "≥": value >= bound, "<": value < bound, "≤": value <= bound }[comparison!];
  const verdict = canTell ? met ? "yes" : "no" : "";
  return [name, goal, value.toFixed(digits) + unit, verdict] satisfies Figure;
}

/** Prints figures, and adds them to the file BENCH_FIGURES, one JSON text a line, if that is set. */
export function printFigures(figures: readonly Figure[]): void {
  printTable(["figure", "goal", "measured", "met"], figures);
  const lines = figures.map((it) => `${JSON.stringify(it)}\n`).join("");
  const path = Deno.env.get("BENCH_FIGURES");
  if (path) Deno.writeTextFileSync(path, lines, { append: true });
}

/** Prints rows below a heading, columns padded. */
export function printTable(
  heading: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): void {
  const texts = [heading, ...rows].map((row) => row.map(String));
  const widths = heading.map((_, column) => Math.max(...texts.map((row) => row[column]!.length)));
  const lines = texts.map((row) => row.map((it, column) => it.padEnd(widths[column]!)).join("  "));
  // deno-lint-ignore no-console
  console.log(`${lines.join("\n")}\n`);
}
