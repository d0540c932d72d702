import { SimulatedHost, type WorldOptions } from "./world.ts";

/** What was measured after so many beats. */
interface Sample {
  readonly heartbeats: number;
  readonly value: number;
}

/** By how much the value grows with each beat: the slope of the line of least squares. */
function slopeOf(samples: readonly Sample[]): number {
  const meanOf = (pick: (sample: Sample) => number) =>
    samples.reduce((sum, it) => sum + pick(it), 0) / samples.length;
  const meanHeartbeats = meanOf(({ heartbeats }) => heartbeats);
  const meanValue = meanOf(({ value }) => value);
  const spread = meanOf(({ heartbeats }) => (heartbeats - meanHeartbeats) ** 2);
  return meanOf(({ heartbeats, value }) => (heartbeats - meanHeartbeats) * (value - meanValue)) /
    spread;
}

/** What memory may grow by in 10,000 beats, in MiB. */
const allowedGrowth = 1;
/** What it may be at any time, garbage included, in MiB: half of what the unit allows. */
const allowedPeak = 128;
/** What is allocated once has been so after this part of the beats, or after so many of them. */
const warmUpPart = 0.2;
const warmUpHeartbeats = 2_000;

/** What the agent must have told of its beats, each of them now and then. */
const states = [
  ...["delivered", "rejected", "unreachable", "ok", "idle", "unreadable", "seen", "silent"],
  ...["consistent", "drifted", "unknown"],
];

/** By how much memory has grown in 10,000 beats, in MiB, once the agent was warm. */
export function growthOf({ heartbeats, memory }: SoakResult): number {
  const warmAt = Math.max(heartbeats * warmUpPart, Math.min(warmUpHeartbeats, heartbeats / 2));
  return 10_000 * slopeOf(memory.filter((it) => it.heartbeats >= warmAt));
}

/** The goals that were missed. */
export function complaints(result: SoakResult): string[] {
  const { logLines, allowedLines, masterLines, expectedMasterLines, exitCode } = result;
  const growth = growthOf(result);
  const [before, after] = result.closedDescriptors;
  const counts = new Set(result.descriptors.map(({ value }) => value));
  const missed = [...result.mishaps].filter(([, count]) => count === 0).map(([name]) => name)
    .concat(states.filter((state) => !result.tally.has(state)));
  const checks: [isMissed: boolean, complaint: string][] = [
    [!(growth < allowedGrowth), `memory grows by ${growth.toFixed(2)} MiB in 10,000 beats`],
    [result.peak > allowedPeak, `memory was ${result.peak.toFixed(1)} MiB at a time`],
    [counts.size > 1, `descriptors vary while all is well: ${[...counts].join(", ")}`],
    [before !== after, `${before} descriptors were open before, and ${after} are after the end`],
    [logLines > allowedLines, `${logLines} lines were logged; ${allowedLines} are allowed`],
    [logLines === 0, "nothing was logged"],
    [
      masterLines !== expectedMasterLines,
      `${masterLines} lines about the master, where there should be ${expectedMasterLines}`,
    ],
    [exitCode !== 0, `the agent ended with ${exitCode}`],
    [missed.length > 0 && result.heartbeats >= 10_000, `never happened: ${missed.join(", ")}`],
  ];
  return checks.filter(([isMissed]) => isMissed).map(([, complaint]) => complaint);
}

/** The figures in one line. */
export function summary(result: SoakResult): string {
  const values = result.memory.map(({ value }) => value);
  const mishaps = [...result.mishaps.values()].reduce((sum, it) => sum + it, 0);
  return [
    `${result.heartbeats} beats in ${result.seconds.toFixed(0)} s`,
    `${mishaps} mishaps of ${result.mishaps.size} kinds`,
    `${(values.at(-1) ?? 0).toFixed(1)} MiB at the end, ${result.peak.toFixed(1)} with garbage`,
    `${growthOf(result).toFixed(2)} MiB in 10,000 beats`,
    `${result.descriptors.at(-1)?.value ?? 0} descriptors`,
    `${result.logLines} lines of log, ${result.allowedLines} allowed`,
    [...result.tally].map(([what, count]) => `${what} ${count}`).join(" "),
  ].join("; ");
}

/**
 * Counts the lines that a master's answers are worth: one at its 1st, 2nd, 4th, 8th … failure in a
 * row, and one when it is back.
 */
export class MasterLines {
  /** So many lines there must be by now. */
  count = 0;
  #failures = 0;

  /** A beat was sent. */
  sent(isDelivered: boolean): void {
    if (isDelivered) {
      if (this.#failures > 0) this.count++;
      this.#failures = 0;
    } else if (Number.isInteger(Math.log2(++this.#failures))) this.count++;
  }
}

/** The agent under measurement, in a process of its own. */
class MeasuredAgent implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #listener: Deno.UnixListener;
  readonly #control: Promise<Deno.Conn>;
  readonly #logged: Promise<void>;
  /** How many lines it has logged. */
  logLines = 0;
  /** Those of them that are about the master. */
  masterLines = 0;
  /** The last of them. */
  readonly lastLines: string[] = [];

  /** `program` is tests/soak/beating_agent.ts, compiled. */
  constructor(program: string, options: WorldOptions) {
    const path = `${options.agentDirectory}/control.sock`;
    this.#listener = Deno.listen({ transport: "unix", path });
    this.#control = this.#listener.accept();
    this.#child = new Deno.Command(program, {
      args: [path, JSON.stringify(options)],
      clearEnv: true,
      env: { HOME: "/nonexistent" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#lines = linesOf(this.#child.stdout);
    this.#logged = this.#readLog();
  }

  /** The next line that it says. Throws `Error`, with the end of its log, when it has ended. */
  async line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (!done) return value;
    await this.#logged;
    throw new Error(`The agent has ended: ${this.lastLines.join("\n")}`);
  }

  /** Lets it go on, or stop, or collect garbage and wait. */
  async answer(word: "go" | "stop" | "collect"): Promise<void> {
    await (await this.#control).write(new TextEncoder().encode(word[0]));
  }

  /** Its resident memory, in MiB. */
  residentMiB(): number {
    const status = Deno.readTextFileSync(`/proc/${this.#child.pid}/status`);
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]) / 1024;
  }

  /** How many file descriptors it holds. */
  descriptors(): number {
    return [...Deno.readDirSync(`/proc/${this.#child.pid}/fd`)].length;
  }

  /** Waits for its end; answers its exit code. */
  async end(): Promise<number> {
    const { code } = await this.#child.status;
    await this.#logged;
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#control.then((it) => it.close(), () => {});
    await this.#lines.return?.();
    await this.end();
  }

  async #readLog(): Promise<void> {
    for await (const line of { [Symbol.asyncIterator]: () => linesOf(this.#child.stderr) }) {
      this.logLines++;
      if (line.includes(" subject=master ") || line.includes("accepts beats again")) {
        this.masterLines++;
      }
      this.lastLines.push(line);
      if (this.lastLines.length > 20) this.lastLines.shift();
    }
  }
}

async function* linesOf(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<string, undefined> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}

/** It is measured each time that so many beats were made. */
const sampleEvery = 100;
/** For the last so many of them all is well, so that like is compared with like. */
const calmHeartbeats = 4;

/** How an agent is soaked. */
interface SoakOptions {
  readonly heartbeats: number;
  readonly seed: number;
  /** Told how far it is, now and then. */
  readonly log?: (line: string) => void;
}

/** What came of it. */
export interface SoakResult {
  readonly heartbeats: number;
  readonly seconds: number;
  /** In MiB, once V8 has collected its garbage, which by itself it does when it likes. */
  readonly memory: readonly Sample[];
  /** The most that it was before that, in MiB. */
  readonly peak: number;
  readonly descriptors: readonly Sample[];
  /** When everything was closed: before the first beat, and after the last. */
  readonly closedDescriptors: readonly [before: number, after: number];
  readonly exitCode: number;
  readonly logLines: number;
  readonly masterLines: number;
  /** How many lines there may be at most. */
  readonly allowedLines: number;
  /** How many lines there must be about the master. */
  readonly expectedMasterLines: number;
  /** What has gone wrong → how often. */
  readonly mishaps: ReadonlyMap<string, number>;
  /** What the agent has told of its beats → how often. */
  readonly tally: ReadonlyMap<string, number>;
}

/** Lets an agent beat so often in a world where things go wrong. */
export async function soak(
  program: string,
  { heartbeats: wanted, seed, log = () => {} }: SoakOptions,
): Promise<SoakResult> {
  await using simulatedHost = await SimulatedHost.create(seed);
  await using agent = new MeasuredAgent(program, simulatedHost.agentOptions);
  const startedAt = performance.now();
  const master = new MasterLines();
  const memory: Sample[] = [];
  const descriptors: Sample[] = [];
  const tally = new Map<string, number>();
  const count = (what: string) => tally.set(what, (tally.get(what) ?? 0) + 1);
  let heartbeats = 0;
  let peak = 0;
  await agent.line();
  const before = agent.descriptors();
  await agent.answer("go");
  for (;;) {
    const [word, ...told] = (await agent.line()).split(" ");
    if (word === "beat") {
      heartbeats++;
      // Without certificates, nothing can be said of the master.
      if (told[0] !== "unsent") master.sent(told[0] === "delivered");
      for (const it of told) count(it);
      continue;
    }
    if (word === "closed") break;
    count("waits");
    if (heartbeats === wanted) {
      await agent.answer("stop");
      continue;
    }
    if (
      heartbeats > 0 && heartbeats % sampleEvery === 0 && memory.at(-1)?.heartbeats !== heartbeats
    ) {
      peak = Math.max(peak, agent.residentMiB());
      await agent.answer("collect");
      await agent.line();
      memory.push({ heartbeats, value: agent.residentMiB() });
      descriptors.push({ heartbeats, value: agent.descriptors() });
      if (heartbeats % 1_000 === 0) {
        const minutes = ((performance.now() - startedAt) / 60_000).toFixed(1);
        log(`${heartbeats} beats, ${memory.at(-1)!.value.toFixed(1)} MiB, ${minutes} min`);
      }
    }
    if (heartbeats % sampleEvery >= sampleEvery - calmHeartbeats) await simulatedHost.heal();
    else await simulatedHost.step();
    await agent.answer("go");
  }
  const after = agent.descriptors();
  await agent.answer("go");
  const exitCode = await agent.end();
  return {
    heartbeats,
    seconds: (performance.now() - startedAt) / 1000,
    memory,
    peak,
    descriptors,
    closedDescriptors: [before, after],
    exitCode,
    logLines: agent.logLines,
    masterLines: agent.masterLines,
    allowedLines: simulatedHost.lines + master.count,
    expectedMasterLines: master.count,
    mishaps: simulatedHost.counts,
    tally,
  };
}
