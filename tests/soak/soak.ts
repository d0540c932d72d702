// deno-lint-ignore-file no-console
/**
 * Lets an agent send for weeks within minutes, while everything around it fails at random:
 * `deno run -q -A tests/soak/soak.ts [HEARTBEATS] [SEED]`. It runs in a process of its own, compiled as
 * the agent is. Exits with 1 when its memory grows, when file descriptors are lost, or when it logs
 * more than it should.
 */

import { compileProgram } from "../../bench/harness.ts";
import { TemporaryFolder } from "../support/environment.ts";
import { MeasuredAgent } from "./measured_agent.ts";
import { SimulatedHost } from "./simulated_host.ts";

/** A value that was measured after so many heartbeats. */
interface Sample {
  readonly heartbeats: number;
  readonly value: number;
}

/** By how much the value grows with each heartbeat: the slope of the line of least squares. */
function slopeOf(samples: readonly Sample[]): number {
  const mean = (values: number[]) => values.reduce((sum, it) => sum + it, 0) / values.length;
  const x = mean(samples.map(({ heartbeats }) => heartbeats));
  const y = mean(samples.map(({ value }) => value));
  const spread = mean(samples.map(({ heartbeats }) => (heartbeats - x) ** 2));
  return mean(samples.map(({ heartbeats, value }) => (heartbeats - x) * (value - y))) / spread;
}

/** What memory may grow by in 10,000 heartbeats, in MiB. */
const allowedGrowth = 1;
/** What it may be at any time, garbage included, in MiB: half of what the unit allows. */
const allowedPeak = 128;
/** What is allocated once has been so after this part of the heartbeats, or after so many of them. */
const warmUpPart = 0.2;
const warmUpHeartbeats = 2_000;

/** All states that the heartbeats of a long run must have had. */
const states = [
  ...["delivered", "rejected", "unreachable", "ok", "idle", "unreadable", "seen", "silent"],
  ...["consistent", "drifted", "unknown"],
];

/** By how much memory has grown in 10,000 heartbeats, in MiB, once the agent was warm. */
function growthOf({ heartbeats, memory }: SoakResult): number {
  const warmAt = Math.max(heartbeats * warmUpPart, Math.min(warmUpHeartbeats, heartbeats / 2));
  return 10_000 * slopeOf(memory.filter((it) => it.heartbeats >= warmAt));
}

/** The goals that were missed. */
export function missedGoals(result: SoakResult): string[] {
  const { logLines, allowedLines, masterLines, expectedMasterLines, exitCode } = result;
  const growth = growthOf(result);
  const [before, after] = result.closedDescriptors;
  const counts = new Set(result.descriptors.map(({ value }) => value));
  const missed = [...result.faults].filter(([, count]) => count === 0).map(([name]) => name)
    .concat(states.filter((state) => !result.tally.has(state)));
  const checks: [isMissed: boolean, goal: string][] = [
    [!(growth < allowedGrowth), `memory grows by ${growth.toFixed(2)} MiB in 10,000 heartbeats`],
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
  return checks.filter(([isMissed]) => isMissed).map(([, goal]) => goal);
}

/** The figures in one line. */
export function summary(result: SoakResult): string {
  const values = result.memory.map(({ value }) => value);
  const faults = [...result.faults.values()].reduce((sum, it) => sum + it, 0);
  return [
    `${result.heartbeats} heartbeats in ${result.seconds.toFixed(0)} s`,
    `${faults} faults of ${result.faults.size} kinds`,
    `${(values.at(-1) ?? 0).toFixed(1)} MiB at the end, ${result.peak.toFixed(1)} with garbage`,
    `${growthOf(result).toFixed(2)} MiB in 10,000 heartbeats`,
    `${result.descriptors.at(-1)?.value ?? 0} descriptors`,
    `${result.logLines} lines of log, ${result.allowedLines} allowed`,
    [...result.tally].map(([what, count]) => `${what} ${count}`).join(" "),
  ].join("; ");
}

/**
 * Counts the lines that a master's answers bring: one at its 1st, 2nd, 4th, 8th … failure in a row,
 * and one when it is back.
 */
class MasterLines {
  count = 0;
  #failures = 0;

  /** Counts a heartbeat that was sent. */
  sent(isDelivered: boolean): void {
    const isLogged = isDelivered ? this.#failures > 0 : Math.log2(this.#failures + 1) % 1 === 0;
    if (isLogged) this.count++;
    this.#failures = isDelivered ? 0 : this.#failures + 1;
  }
}

/** It is measured each time that so many heartbeats were made. */
const sampleEvery = 100;
/** For the last so many of them all is well, so that like is compared with like. */
const calmHeartbeats = 4;

/** The outcome of a run. */
export interface SoakResult {
  readonly heartbeats: number;
  readonly seconds: number;
  /** In MiB, after a garbage collection. */
  readonly memory: readonly Sample[];
  /** The most before that, in MiB. */
  readonly peak: number;
  readonly descriptors: readonly Sample[];
  /** When everything was closed: before the first heartbeat, and after the last. */
  readonly closedDescriptors: readonly [before: number, after: number];
  readonly exitCode: number;
  readonly logLines: number;
  readonly allowedLines: number;
  /** Of the log lines, those about the master. */
  readonly masterLines: number;
  readonly expectedMasterLines: number;
  /** Name of each fault → how often it came. */
  readonly faults: ReadonlyMap<string, number>;
  /** State in the heartbeats → how often it was sent. */
  readonly tally: ReadonlyMap<string, number>;
}

/** Lets an agent send so many heartbeats while things go wrong. */
export async function soak(program: string, wanted: number, seed: number): Promise<SoakResult> {
  await using host = await SimulatedHost.create(seed);
  await using agent = new MeasuredAgent(program, host.agentOptions);
  const startedAt = performance.now();
  const master = new MasterLines();
  const [memory, descriptors]: [Sample[], Sample[]] = [[], []];
  const tally = new Map<string, number>();
  const count = (what: string) => tally.set(what, (tally.get(what) ?? 0) + 1);
  let [heartbeats, measuredAt, peak] = [0, 0, 0];
  await agent.line();
  const before = agent.descriptors();
  await agent.answer("go");
  for (;;) {
    const [word, ...states] = (await agent.line()).split(" ");
    if (word === "heartbeat") {
      heartbeats++;
      // Without certificates, the log says nothing about the master.
      if (states[0] !== "unsent") master.sent(states[0] === "delivered");
      states.forEach(count);
      continue;
    }
    if (word === "closed") break;
    count("waits");
    if (heartbeats === wanted) {
      await agent.answer("stop");
      continue;
    }
    if (heartbeats % sampleEvery === 0 && heartbeats > measuredAt) {
      measuredAt = heartbeats;
      peak = Math.max(peak, agent.residentMiB());
      await agent.answer("collect");
      await agent.line();
      memory.push({ heartbeats, value: agent.residentMiB() });
      descriptors.push({ heartbeats, value: agent.descriptors() });
    }
    if (heartbeats % sampleEvery >= sampleEvery - calmHeartbeats) await host.heal();
    else await host.step();
    await agent.answer("go");
  }
  const closedDescriptors = [before, agent.descriptors()] as const;
  await agent.answer("go");
  const exitCode = await agent.end();
  const seconds = (performance.now() - startedAt) / 1000;
  const { logLines, masterLines } = agent;
  const allowedLines = host.lines + master.count;
  return {
    ...{ heartbeats, seconds, memory, peak, descriptors, closedDescriptors, exitCode, tally },
    ...{ logLines, masterLines, allowedLines, expectedMasterLines: master.count },
    faults: host.counts,
  };
}

/** Compiles the program under measurement into a folder; returns its path. */
export async function compileSoakAgent(folder: string): Promise<string> {
  const program = `${folder}/soak-agent`;
  await compileProgram("tests/soak/soak_agent.ts", program, { v8Flags: ["--expose-gc"] });
  return program;
}

async function main([heartbeats = "10000", seed = "1"]: readonly string[]): Promise<number> {
  using folder = new TemporaryFolder();
  const program = await compileSoakAgent(folder.path);
  const result = await soak(program, Number(heartbeats), Number(seed));
  const missed = missedGoals(result);
  console.log(`${missed.length ? "FAIL" : "ok  "}  heartbeats among faults: ${summary(result)}`);
  for (const goal of missed) console.log(`FAIL  ${goal}`);
  return missed.length === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
