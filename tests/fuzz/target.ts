/**
 * Runs cases of one target in a process of its own: a crash of the runtime or of SQLite ends it.
 * Arguments: the target's module, a file for the number of the running case, a folder, and the
 * options as JSON. Prints lines of JSON.
 */

import { SeededRandom } from "../support/random.ts";

/** A part of the program that gets hostile input, case after case. */
export interface Target {
  /**
   * Runs one case, which depends on nothing but `random`, and returns its outcome in a word. Throws
   * when something happened that must never happen.
   */
  run(random: SeededRandom): Promise<string> | string;
  /** Called after the last case. */
  close?(): Promise<void>;
}

/** Which cases to run, and what none of them may exceed. */
export interface CaseOptions {
  readonly seed: number;
  /** The first case. */
  readonly from: number;
  /** The case after the last. */
  readonly to: number;
  readonly limitMs: number;
  /** Of the process, in bytes. */
  readonly limitRss: number;
}

/** A case in which something happened that must never happen. */
export interface Failure {
  readonly caseNumber: number;
  readonly message: string;
}

/** The outcome of the cases. */
export interface Tally {
  readonly cases: number;
  readonly slowestMs: number;
  readonly slowestCase: number;
  /** In bytes. */
  readonly peakRss: number;
  /** How many cases ended how. */
  readonly outcomes: Readonly<Record<string, number>>;
}

/** A line that this program prints. */
export type ChildLine =
  | { readonly kind: "failure"; readonly failure: Failure }
  | { readonly kind: "tally"; readonly tally: Tally };

/** The memory is measured after so many cases, and after each that took long. */
const casesPerMeasurement = 64;
const longMs = 50;
/** More failures show nothing new. */
const maximumFailures = 10;

/** Runs cases one after the other. */
async function runCases(target: Target, caseFile: string, options: CaseOptions): Promise<Tally> {
  const { seed, from, to, limitMs, limitRss } = options;
  const outcomes: Record<string, number> = {};
  let [failures, slowestMs, slowestCase, peakRss, caseNumber] = [0, 0, from, 0, from];
  const fail = (message: string) => {
    failures++;
    print({ kind: "failure", failure: { caseNumber, message } });
  };
  const runCase = async () => {
    const startedAt = performance.now();
    const outcome = await target.run(SeededRandom.ofCase(seed, caseNumber));
    return { outcome, ms: performance.now() - startedAt };
  };
  for (; caseNumber < to && failures < maximumFailures; caseNumber++) {
    // The parent reads it after a crash.
    Deno.writeTextFileSync(caseFile, String(caseNumber));
    try {
      let { outcome, ms } = await runCase();
      // Other programs may have had the processor meanwhile.
      for (let again = 0; ms > limitMs && again < 3; again++) {
        ms = Math.min(ms, (await runCase()).ms);
      }
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      if (ms > slowestMs) [slowestMs, slowestCase] = [ms, caseNumber];
      if (ms > limitMs) fail(`it took ${Math.round(ms)} ms, four times`);
      const isDue = caseNumber % casesPerMeasurement === 0 || caseNumber === to - 1;
      if (ms <= longMs && !isDue) continue;
      const rss = memory(limitRss);
      peakRss = Math.max(peakRss, rss);
      if (rss > limitRss) fail(`the process takes ${Math.round(rss / 2 ** 20)} MiB`);
    } catch (error) {
      fail(error instanceof Error ? error.stack ?? error.message : `${error}`);
    }
  }
  return { cases: caseNumber - from, slowestMs, slowestCase, peakRss, outcomes };
}

/** The memory of the process; past the limit only after what is garbage has been collected. */
function memory(limit: number): number {
  const { rss } = Deno.memoryUsage();
  if (rss <= limit) return rss;
  (globalThis as { gc?: () => void }).gc!();
  return Deno.memoryUsage().rss;
}

function print(line: ChildLine): void {
  const bytes = new TextEncoder().encode(`${JSON.stringify(line)}\n`);
  for (let done = 0; done < bytes.length;) done += Deno.stdout.writeSync(bytes.subarray(done));
}

if (import.meta.main) {
  const [module = "", caseFile = "", folder = "", json = ""] = Deno.args;
  const { open }: { open(folder: string): Target | Promise<Target> } = await import(module);
  const target = await open(folder);
  const tally = await runCases(target, caseFile, JSON.parse(json));
  await target.close?.();
  print({ kind: "tally", tally });
  Deno.exit(0);
}
