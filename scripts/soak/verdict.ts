import type { SoakResult } from "./course.ts";
import { slopeOf } from "./slope.ts";

/** What memory may grow by in 10,000 beats, in MiB. */
const allowedGrowth = 1;
/** What it may be at any time, garbage included, in MiB: half of what the unit allows. */
const allowedPeak = 128;
/** What is allocated once has been so after this part of the beats, or after so many of them. */
const warmUpPart = 0.2;
const warmUpBeats = 2_000;

/** What the agent must have told of its beats, each of them now and then. */
const states = [
  ...["delivered", "rejected", "unreachable", "ok", "idle", "unreadable", "seen", "silent"],
  ...["consistent", "drifted", "unknown"],
];

/** By how much memory has grown in 10,000 beats, in MiB, once the agent was warm. */
export function growthOf({ beats, memory }: SoakResult): number {
  const warmAt = Math.max(beats * warmUpPart, Math.min(warmUpBeats, beats / 2));
  return 10_000 * slopeOf(memory.filter((it) => it.beats >= warmAt));
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
    [missed.length > 0 && result.beats >= 10_000, `never happened: ${missed.join(", ")}`],
  ];
  return checks.filter(([isMissed]) => isMissed).map(([, complaint]) => complaint);
}

/** The figures in one line. */
export function summary(result: SoakResult): string {
  const values = result.memory.map(({ value }) => value);
  const mishaps = [...result.mishaps.values()].reduce((sum, it) => sum + it, 0);
  return [
    `${result.beats} beats in ${result.seconds.toFixed(0)} s`,
    `${mishaps} mishaps of ${result.mishaps.size} kinds`,
    `${(values.at(-1) ?? 0).toFixed(1)} MiB at the end, ${result.peak.toFixed(1)} with garbage`,
    `${growthOf(result).toFixed(2)} MiB in 10,000 beats`,
    `${result.descriptors.at(-1)?.value ?? 0} descriptors`,
    `${result.logLines} lines of log, ${result.allowedLines} allowed`,
    [...result.tally].map(([what, count]) => `${what} ${count}`).join(" "),
  ].join("; ");
}
