// deno-lint-ignore-file no-console
/**
 * Lets an agent beat for weeks within minutes, while everything around it goes wrong at random:
 * `deno run -q -A tests/soak/soak.ts [BEATS] [SEED]`. Its loop runs in a process of its own, compiled as
 * the agent is. Exits 1 when its memory grows, when file descriptors are lost, or when it logs more
 * than it should.
 */

import { compileProgram } from "../../bench/harness.ts";
import { TemporaryFolder } from "../support/environment.ts";
import { complaints, soak, summary } from "./course.ts";

async function main([heartbeats = "10000", seed = "1"]: readonly string[]): Promise<number> {
  using folder = new TemporaryFolder();
  const program = `${folder.path}/beating-agent`;
  await compileProgram("tests/soak/beating_agent.ts", program, { v8Flags: ["--expose-gc"] });
  const result = await soak(program, {
    heartbeats: Number(heartbeats),
    seed: Number(seed),
    log: console.log,
  });
  const problems = complaints(result);
  console.log(
    `${problems.length === 0 ? "ok  " : "FAIL"}  heartbeats among faults: ${summary(result)}`,
  );
  for (const problem of problems) console.log(`FAIL  ${problem}`);
  return problems.length === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
