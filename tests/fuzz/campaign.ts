import type { CaseOptions, ChildLine, Failure, Tally } from "./target.ts";

/** A target by its name. */
interface TargetEntry {
  readonly name: string;
  /** Its part of all cases. */
  readonly share: number;
  /** The module with its `open()`. */
  readonly module: string;
}

const shares = {
  document: 0.26,
  ini: 0.25,
  engine: 0.2,
  store: 0.08,
  api: 0.05,
  master: 0.04,
  certificate: 0.02,
  line: 0.05,
  log: 0.05,
};

/** All targets, in the order in which they run. */
export const targets: readonly TargetEntry[] = Object.entries(shares).map(([name, share]) => ({
  name,
  share,
  module: new URL(`./${name}_target.ts`, import.meta.url).href,
}));

const child = new URL("./target.ts", import.meta.url).href;
const progressMs = 5_000;
const maximumCrashes = 10;

/** Options of a campaign. */
export interface CampaignOptions extends CaseOptions {
  /** A case that has taken so long hangs, in milliseconds. */
  readonly hangMs: number;
  /** Gets the number of the running case every few seconds. */
  readonly onProgress: (caseNumber: number) => void;
}

/** The outcome of a campaign. */
export interface Verdict extends Tally {
  readonly failures: readonly Failure[];
}

const nothing: Tally = { cases: 0, slowestMs: 0, slowestCase: 0, peakRss: 0, outcomes: {} };

/** Runs cases of a target in child processes, a new one after each crash. */
export async function campaign(module: string, options: CampaignOptions): Promise<Verdict> {
  const failures: Failure[] = [];
  let sum = nothing;
  for (let { from } = options, crashes = 0; from < options.to && crashes < maximumCrashes;) {
    const { lines, crash, caseNumber } = await runChild(module, { ...options, from });
    for (const line of lines) {
      if (line.kind === "failure") failures.push(line.failure);
      else sum = add(sum, line.tally);
    }
    if (crash === null) break;
    failures.push({ caseNumber, message: crash });
    crashes++;
    sum = add(sum, { ...nothing, cases: caseNumber + 1 - from });
    from = caseNumber + 1;
  }
  return { ...sum, failures };
}

/** Returns what a child prints, why it ended too early, or null, and in which case. */
async function runChild(
  module: string,
  { hangMs, onProgress, ...options }: CampaignOptions,
): Promise<{ lines: ChildLine[]; crash: string | null; caseNumber: number }> {
  // Thousands of databases need not reach a disk.
  const memory = await Deno.stat("/dev/shm").then(() => ({ dir: "/dev/shm" }), () => ({}));
  const folder = await Deno.makeTempDir({ prefix: "decnet-fuzz-", ...memory });
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
    const currentCase = () => Number(Deno.readTextFileSync(caseFile));
    let [lastCase, since, isHanging] = [-1, performance.now(), false];
    const timer = setInterval(() => {
      const caseNumber = currentCase();
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
    const lines = text.split("\n").slice(0, -1).map((line): ChildLine => JSON.parse(line));
    const isDone = code === 0 && lines.at(-1)?.kind === "tally";
    const end = isHanging ? "it hangs" : `the process ended with ${signal ?? code}`;
    return { lines, crash: isDone ? null : end, caseNumber: currentCase() };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function add(one: Tally, other: Tally): Tally {
  const { slowestMs, slowestCase } = one.slowestMs > other.slowestMs ? one : other;
  const outcomes = { ...one.outcomes };
  for (const [outcome, count] of Object.entries(other.outcomes)) {
    outcomes[outcome] = (outcomes[outcome] ?? 0) + count;
  }
  const peakRss = Math.max(one.peakRss, other.peakRss);
  return { cases: one.cases + other.cases, slowestMs, slowestCase, peakRss, outcomes };
}
