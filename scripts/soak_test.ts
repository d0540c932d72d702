import assert from "node:assert/strict";
import { compileProgram } from "../bench/harness.ts";
import { TemporaryFolder } from "../tests/temporary_folder.ts";
import { soak } from "./soak/course.ts";

Deno.test("soak() lets an agent go through mishaps, and counts its beats, descriptors and lines", async () => {
  using folder = new TemporaryFolder();
  const program = `${folder.path}/beating-agent`;
  await compileProgram("scripts/soak/beating_agent.ts", program, { v8Flags: ["--expose-gc"] });
  const result = await soak(program, { beats: 200, seed: 1 });
  assert.equal(result.beats, 200);
  assert.equal(result.exitCode, 0);
  assert.deepEqual(result.memory.map(({ beats }) => beats), [100]);
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
  assert.ok([...result.mishaps.values()].filter((count) => count > 0).length > 10);
});
