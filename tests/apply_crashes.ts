/** Kills processes that apply and tear down, and looks what they leave behind. */

import assert from "node:assert/strict";
import { lockPathOf, setAsideIfDamaged } from "../store/mod.ts";
import { parseJson, writeJson } from "../topology/mod.ts";
import { randomNumbers } from "./answer_streams.ts";
import { type ApplyHost, oneLan, threeLans, withHost } from "./apply_host.ts";
import { killAtRandom } from "./killed_process.ts";

/** What the processes had done when they were killed, and what they left. */
export interface ApplyCrashReport {
  kills: number;
  /** Applies and teardowns that were completed. */
  completed: number;
  /** Killed within an apply or a teardown. */
  atWork: number;
  /** Left a topology that was not as it was applied: the next apply had something to do. */
  halfDone: number;
}

/** Throws `AssertionError` when what was left cannot be mended by an apply or a teardown. */
export async function crashApplies(
  { kills, seed }: { kills: number; seed: number },
): Promise<ApplyCrashReport> {
  const report = { kills: 0, completed: 0, atWork: 0, halfDone: 0 };
  const random = randomNumbers(seed);
  await withHost(async (host) => {
    host.engine.latencyMs = 5;
    while (report.kills < kills) {
      report.kills++;
      const lines = await killAtRandom("./apply_crash_child.ts", {
        args: [host.engine.socketPath, host.storePath],
        killAfterMs: random() * 300,
      });
      report.completed += lines.filter((line) => line !== "begun").length;
      // Who is killed does not get to say that it is done.
      if (Deno.readTextFileSync(lockPathOf(host.storePath)) !== "") report.atWork++;
      if (await mend(host, random() < 0.5)) report.halfDone++;
    }
  });
  return report;
}

/** Applies what is stored, or tears it down; answers whether there was something left to do. */
async function mend(host: ApplyHost, isKept: boolean): Promise<boolean> {
  assert.equal(setAsideIfDamaged(host.storePath), null);
  const row = host.row();
  const candidate = row?.topologyId === oneLan.plan.topologyId ? oneLan : threeLans;
  if (row) {
    assert.equal(row.topologyId, candidate.plan.topologyId);
    assert.equal(row.document, writeJson(parseJson(candidate.text)));
    if (row.versionHash !== "") assert.equal(row.versionHash, candidate.versionHash);
    else assert.match(row.lastError!, /was cut off/);
  }
  let changes = 0;
  if (isKept || !row) {
    changes = (await host.apply(candidate)).changes;
    await host.assertApplied(candidate);
    assert.equal((await host.apply(candidate)).changes, 0);
  } else {
    await host.teardown(row.topologyId);
    host.assertNothingLeft();
  }
  return row !== null && changes > 0;
}
