import assert from "node:assert/strict";
import { TemporaryFolder } from "../support/environment.ts";
import { compileSoakAgent, missedGoals, soak, type SoakResult } from "./soak.ts";

/** What comes of a run of 1,000 heartbeats that misses no goal, with other values here and there. */
function resultWith(values: Partial<SoakResult> = {}): SoakResult {
  const heartbeats = Array.from({ length: 10 }, (_, index) => 100 * (index + 1));
  return {
    heartbeats: 1_000,
    seconds: 10,
    memory: heartbeats.map((heartbeats) => ({ heartbeats, value: 50 })),
    peak: 60,
    descriptors: heartbeats.map((heartbeats) => ({ heartbeats, value: 15 })),
    closedDescriptors: [13, 13],
    exitCode: 0,
    logLines: 90,
    masterLines: 30,
    allowedLines: 100,
    expectedMasterLines: 30,
    faults: new Map([["Docker hangs", 0]]),
    tally: new Map(),
    ...values,
  };
}

/** Memory that has so many MiB after each 100 heartbeats. */
function memory(valueAt: (heartbeats: number) => number) {
  return resultWith().memory.map(({ heartbeats }) => ({ heartbeats, value: valueAt(heartbeats) }));
}

Deno.test("missedGoals() is empty for a run that is as it should be", () => {
  assert.deepEqual(missedGoals(resultWith()), []);
  const shrinking = memory((heartbeats) => 60 - heartbeats / 1_000);
  assert.deepEqual(missedGoals(resultWith({ memory: shrinking })), []);
});

const missed: [goal: RegExp, values: Partial<SoakResult>][] = [
  [/^memory grows by 2\.00 MiB in 10,000/, { memory: memory((heartbeats) => heartbeats / 5_000) }],
  [/^memory grows by NaN/, { memory: [] }],
  [/^memory was 129\.0 MiB at a time$/, { peak: 129 }],
  [/^descriptors vary .*: 15, 16$/, {
    descriptors: [{ heartbeats: 100, value: 15 }, { heartbeats: 200, value: 16 }],
  }],
  [/^13 descriptors were open before, and 14 are/, { closedDescriptors: [13, 14] }],
  [/^101 lines were logged; 100 are allowed$/, { logLines: 101 }],
  [/^nothing was logged$/, { logLines: 0 }],
  [/^29 lines about the master, where there should be 30$/, { masterLines: 29 }],
  [/^the agent ended with 1$/, { exitCode: 1 }],
];
Deno.test("missedGoals() names each goal that is missed", () => {
  for (const [goal, values] of missed) {
    const found = missedGoals(resultWith(values));
    assert.equal(found.length, 1, found.join("; "));
    assert.match(found[0]!, goal);
  }
});

Deno.test("R12 soak() runs an agent among faults and measures it", async () => {
  using folder = new TemporaryFolder();
  const program = await compileSoakAgent(folder.path);
  const result = await soak(program, 200, 1);
  assert.equal(result.heartbeats, 200);
  assert.equal(result.exitCode, 0);
  assert.deepEqual(result.memory.map(({ heartbeats }) => heartbeats), [100]);
  // A machine that takes pages back shows less than the program has.
  assert.ok(result.memory.every(({ value }) => value > 5), JSON.stringify(result.memory));
  assert.ok(result.peak > 5, `${result.peak} MiB`);
  const [before, after] = result.closedDescriptors;
  assert.equal(before, after);
  assert.ok(result.descriptors.every(({ value }) => value > before));
  assert.equal(result.masterLines, result.expectedMasterLines);
  assert.ok(result.logLines > 0 && result.logLines <= result.allowedLines);
  const results = ["delivered", "rejected", "unreachable", "unsent"];
  const counted = results.map((it) => result.tally.get(it) ?? 0);
  assert.equal(counted.reduce((sum, it) => sum + it), 200);
  assert.ok([...result.faults.values()].filter((count) => count > 0).length > 10);
});
