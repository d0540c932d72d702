/** Kills processes that change a store, and looks what they leave behind. */

import assert from "node:assert/strict";
import { setAsideIfDamaged, TopologyStore } from "../store/mod.ts";
import { randomNumbers } from "./answer_streams.ts";
import { killAtRandom } from "./killed_process.ts";
import { after, rowOf, type StoreChange, type StoreRow } from "./store_changes.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

/** How often to kill, and when: one seed gives the same changes and moments again. */
export interface CrashOptions {
  readonly kills: number;
  readonly seed: number;
  /** How many stores there are, each with a process of its own. */
  readonly lanes?: number;
}

/** Where the processes were when they were killed, and what they left. */
export interface CrashReport {
  kills: number;
  /** Changes that were completed. */
  changes: number;
  /** Killed within a change that was found undone, or done. */
  undone: number;
  done: number;
  /** Killed between two changes. */
  between: number;
  /** Found with a journal, from which the next opening had to restore the file. */
  journals: number;
}

/** Throws `AssertionError` when a store holds what was never written to it. */
export async function crashStores({ kills, seed, lanes = 2 }: CrashOptions): Promise<CrashReport> {
  using folder = new TemporaryFolder();
  const report = { kills: 0, changes: 0, undone: 0, done: 0, between: 0, journals: 0 };
  const run = async (lane: number) => {
    const random = randomNumbers(seed + lane);
    const path = `${folder.path}/${lane}.db`;
    for (let row: StoreRow | null = null; report.kills < kills;) {
      report.kills++;
      const childSeed = Math.floor(random() * 2 ** 31);
      // Long enough for some thirty changes.
      const changes = await killAtRandom("./store_crash_child.ts", {
        args: [path, `${childSeed}`],
        killAfterMs: random() * 60,
      });
      row = judge(path, row, changes, { report, round: `seed ${seed}, process ${childSeed}` });
    }
  };
  await Promise.all(Array.from({ length: lanes }, (_, lane) => run(lane)));
  return report;
}

/** Compares what is stored with what was said; answers it. */
function judge(
  path: string,
  start: StoreRow | null,
  lines: readonly string[],
  { report, round }: { report: CrashReport; round: string },
): StoreRow | null {
  let row = start;
  let pending: StoreChange | null = null;
  for (const line of lines) {
    if (line !== "done") pending = JSON.parse(line);
    else {
      row = after(row, pending!);
      pending = null;
      report.changes++;
    }
  }
  if (hasJournal(path)) report.journals++;
  // Every other one is first opened as a check does it.
  using store = TopologyStore.open(path, { readOnly: report.kills % 2 === 0 });
  const found = rowOf(store);
  if (!pending) {
    report.between++;
    assert.deepEqual(found, row, round);
  } else if (JSON.stringify(found) === JSON.stringify(row)) report.undone++;
  else {
    report.done++;
    assert.deepEqual(found, after(row, pending), round);
  }
  assert.equal(setAsideIfDamaged(path), null, round);
  return found;
}

function hasJournal(path: string): boolean {
  try {
    // SQLite makes it invalid by its first bytes before it removes it.
    return Deno.statSync(`${path}-journal`).size > 0;
  } catch {
    return false;
  }
}
