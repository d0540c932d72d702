import type { ChildLine, ChildOptions } from "./child.ts";
import type { Failure, Tally } from "./target.ts";

/** A target by its name. */
interface TargetEntry {
  readonly name: string;
  /** Its part of all cases. */
  readonly share: number;
  /** The module with its `open()`. */
  readonly module: string;
}

const shares = { document: 0.36, ini: 0.25, engine: 0.2, store: 0.08, api: 0.07, master: 0.04 };

/** All targets, in the order in which they run. */
export const targets: readonly TargetEntry[] = Object.entries(shares).map(([name, share]) => ({
  name,
  share,
  module: new URL(`./${name}_target.ts`, import.meta.url).href,
}));

const child = new URL("./child.ts", import.meta.url).href;
const progressMs = 5_000;
const maximumCrashes = 10;

/** Options of a campaign. */
export interface CampaignOptions extends ChildOptions {
  /** A case that has taken so long hangs, in milliseconds. */
  readonly hangMs: number;
  /** Gets the number of the running case every few seconds. */
  readonly onProgress: (caseNumber: number) => void;
}

/** The outcome of a campaign. */
export interface Verdict extends Tally {
  readonly target: string;
  readonly seconds: number;
  readonly failures: readonly Failure[];
}

/** Runs cases of a target in child processes, a new one after each crash. */
export async function campaign(
  { name, module }: Pick<TargetEntry, "name" | "module">,
  options: CampaignOptions,
): Promise<Verdict> {
  const startedAt = performance.now();
  const failures: Failure[] = [];
  const tallies: Tally[] = [];
  for (let { from } = options, crashes = 0; from < options.to;) {
    const { lines, end, caseNumber } = await runChild(module, { ...options, from });
    for (const line of lines) {
      if ("failure" in line) failures.push(line.failure);
      else tallies.push(line.tally);
    }
    if (end === null) break;
    failures.push({ caseNumber, message: end });
    if (++crashes === maximumCrashes) break;
    tallies.push({ ...nothing, cases: caseNumber + 1 - from });
    from = caseNumber + 1;
  }
  const seconds = (performance.now() - startedAt) / 1000;
  return { target: name, seconds, failures, ...tallies.reduce(together, nothing) };
}

/** Returns what a child prints, why it ended too early, or null, and in which case. */
async function runChild(
  module: string,
  { hangMs, onProgress, ...options }: CampaignOptions,
): Promise<{ lines: ChildLine[]; end: string | null; caseNumber: number }> {
  const folder = await Deno.makeTempDir({ prefix: "decnet-fuzz-", ...inMemory() });
  try {
    const caseFile = `${folder}/case`;
    await Deno.writeTextFile(caseFile, String(options.from));
    await Deno.mkdir(`${folder}/work`);
    const process = new Deno.Command(Deno.execPath(), {
      args: ["run", "-q", "-A", "--no-prompt", "--v8-flags=--expose-gc", child]
        .concat(module, caseFile, `${folder}/work`, JSON.stringify(options)),
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const caseNow = () => Number(Deno.readTextFileSync(caseFile));
    let [lastCase, since, isHanging] = [-1, performance.now(), false];
    const timer = setInterval(() => {
      const caseNumber = caseNow();
      onProgress(caseNumber);
      if (caseNumber !== lastCase) [lastCase, since] = [caseNumber, performance.now()];
      else if (performance.now() - since > hangMs) {
        isHanging = true;
        process.kill("SIGKILL");
      }
    }, Math.min(progressMs, hangMs / 2));
    const { code, signal, stdout } = await process.output();
    clearInterval(timer);
    const text = new TextDecoder().decode(stdout);
    const lines = text.split("\n").slice(0, -1).map((line) => JSON.parse(line) as ChildLine);
    const isDone = code === 0 && lines.some((line) => "tally" in line);
    const end = isHanging ? "it hangs" : `the process ended with ${signal ?? code}`;
    return { lines, end: isDone ? null : end, caseNumber: caseNow() };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Thousands of databases need not reach a disk. */
function inMemory(): { dir?: string } {
  try {
    return Deno.statSync("/dev/shm").isDirectory ? { dir: "/dev/shm" } : {};
  } catch {
    return {};
  }
}

const nothing: Tally = { cases: 0, slowestMs: 0, slowestCase: 0, peakRss: 0, outcomes: {} };

function together(one: Tally, other: Tally): Tally {
  const slower = one.slowestMs > other.slowestMs ? one : other;
  const outcomes = { ...one.outcomes };
  for (const [outcome, count] of Object.entries(other.outcomes)) {
    outcomes[outcome] = (outcomes[outcome] ?? 0) + count;
  }
  return {
    cases: one.cases + other.cases,
    slowestMs: slower.slowestMs,
    slowestCase: slower.slowestCase,
    peakRss: Math.max(one.peakRss, other.peakRss),
    outcomes,
  };
}
