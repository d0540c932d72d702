import { MasterLines } from "./master_lines.ts";
import { MeasuredAgent } from "./measured_agent.ts";
import type { Sample } from "./slope.ts";
import { World } from "./world.ts";

/** It is measured each time that so many beats were made. */
const sampleEvery = 100;
/** For the last so many of them all is well, so that like is compared with like. */
const calmBeats = 4;

/** How an agent is soaked. */
export interface SoakOptions {
  readonly beats: number;
  readonly seed: number;
  /** Told how far it is, now and then. */
  readonly log?: (line: string) => void;
}

/** What came of it. */
export interface SoakResult {
  readonly beats: number;
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
  { beats: wanted, seed, log = () => {} }: SoakOptions,
): Promise<SoakResult> {
  await using world = await World.create(seed);
  await using agent = new MeasuredAgent(program, world.agentOptions);
  const startedAt = performance.now();
  const master = new MasterLines();
  const memory: Sample[] = [];
  const descriptors: Sample[] = [];
  const tally = new Map<string, number>();
  const count = (what: string) => tally.set(what, (tally.get(what) ?? 0) + 1);
  let beats = 0;
  let peak = 0;
  await agent.line();
  const before = agent.descriptors();
  await agent.answer("go");
  for (;;) {
    const [word, ...told] = (await agent.line()).split(" ");
    if (word === "beat") {
      beats++;
      // Without certificates, nothing can be said of the master.
      if (told[0] !== "unsent") master.sent(told[0] === "delivered");
      for (const it of told) count(it);
      continue;
    }
    if (word === "closed") break;
    count("waits");
    if (beats === wanted) {
      await agent.answer("stop");
      continue;
    }
    if (beats > 0 && beats % sampleEvery === 0 && memory.at(-1)?.beats !== beats) {
      peak = Math.max(peak, agent.residentMiB());
      await agent.answer("collect");
      await agent.line();
      memory.push({ beats, value: agent.residentMiB() });
      descriptors.push({ beats, value: agent.descriptors() });
      if (beats % 1_000 === 0) {
        const minutes = ((performance.now() - startedAt) / 60_000).toFixed(1);
        log(`${beats} beats, ${memory.at(-1)!.value.toFixed(1)} MiB, ${minutes} min`);
      }
    }
    if (beats % sampleEvery >= sampleEvery - calmBeats) await world.heal();
    else await world.step();
    await agent.answer("go");
  }
  const after = agent.descriptors();
  await agent.answer("go");
  const exitCode = await agent.end();
  return {
    beats,
    seconds: (performance.now() - startedAt) / 1000,
    memory,
    peak,
    descriptors,
    closedDescriptors: [before, after],
    exitCode,
    logLines: agent.logLines,
    masterLines: agent.masterLines,
    allowedLines: world.lines + master.count,
    expectedMasterLines: master.count,
    mishaps: world.counts,
    tally,
  };
}
