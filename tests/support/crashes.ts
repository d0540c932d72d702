import assert from "node:assert/strict";
import { lockPathOf } from "../../store/file.ts";
import { quarantineIfDamaged } from "../../store/recovery.ts";
import { type AppliedTopology } from "../../store/row.ts";
import { readRow, TopologyStore } from "../../store/topology_store.ts";
import { parseJson, writeJson } from "../../topology/json.ts";
import { type ApplyHost, oneLan, threeLans, withHost } from "./apply_host.ts";
import { TemporaryFolder } from "./environment.ts";
import { SeededRandom } from "./random.ts";

/**
 * Runs a program of tests/ and kills it so many milliseconds after its first output. Returns the lines
 * that it printed.
 */
async function runAndKill(program: string, args: string[], killAfterMs: number): Promise<string[]> {
  await using child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "--no-check", "-A", import.meta.resolve(program), ...args],
    stdout: "piped",
  }).spawn();
  let text = "";
  let timer: ReturnType<typeof setTimeout> | undefined;
  for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    timer ??= setTimeout(() => child.kill("SIGKILL"), killAfterMs);
  }
  clearTimeout(timer);
  const { signal } = await child.status;
  assert.equal(signal, "SIGKILL", "it ended by itself");
  // The last line may be cut off: what follows it has not begun.
  return text.split("\n").slice(0, -1);
}

/** A call of a writing method of the store. */
interface StoreChange {
  readonly method: "put" | "recordError" | "clear";
  /** Differs in each change; becomes the hash, the error and a part of the document. */
  readonly text: string;
  /** The length of the document, in characters. */
  readonly size: number;
}

/** What a row holds, without its time. */
interface StoreRow {
  readonly versionHash: string;
  readonly document: string;
  readonly lastError: string | null;
}

/** The only topology. */
const topologyId = "A";

/** Returns a random change with this number; a third of the documents take many pages. */
export function randomChange(number: number, random: SeededRandom): StoreChange {
  const draw = random.next();
  const method = draw < 0.55 ? "put" : draw < 0.85 ? "recordError" : "clear";
  const size = random.below(random.next() < 0.3 ? 200_000 : 3_000);
  return { method, text: `change ${number} ${random.below(1e9)}`, size };
}

/** Calls the method. */
export function makeChange(store: TopologyStore, { method, text, size }: StoreChange): void {
  if (method === "put") store.put(topologyId, text, documentOf(text, size));
  else if (method === "recordError") store.recordError(topologyId, text, documentOf(text, size));
  else store.clear(topologyId);
}

/** Returns the row after a change. */
function rowAfter(row: StoreRow | null, { method, text, size }: StoreChange): StoreRow | null {
  const document = documentOf(text, size);
  if (method === "clear") return null;
  if (method === "put") return { versionHash: text, document, lastError: null };
  return { ...(row ?? { versionHash: "", document }), lastError: text };
}

function documentOf(text: string, size: number): string {
  const pattern = `${text}; `;
  return JSON.stringify({ text: pattern.repeat(Math.ceil(size / pattern.length)) });
}

/** How often to kill; one seed gives the same changes and moments again. */
interface CrashOptions {
  readonly kills: number;
  readonly seed: number;
}

/** Where the processes were when they were killed, and what they left. */
interface CrashReport {
  kills: number;
  /** Changes that were completed. */
  changes: number;
  /** Killed during a change that was found undone, or done. */
  undone: number;
  done: number;
  /** Killed between two changes. */
  between: number;
  /** Left a journal, from which the next opening restored the file. */
  journals: number;
}

/** Kills processes that change a store. Throws `AssertionError` when it holds what was never written. */
export async function crashStores({ kills, seed }: CrashOptions): Promise<CrashReport> {
  using folder = new TemporaryFolder();
  const report = { kills: 0, changes: 0, undone: 0, done: 0, between: 0, journals: 0 };
  const run = async (lane: number) => {
    const random = new SeededRandom(seed + lane);
    const path = `${folder.path}/${lane}.db`;
    for (let row: StoreRow | null = null; report.kills < kills;) {
      report.kills++;
      const childSeed = `${random.below(2 ** 31)}`;
      // Long enough for about thirty changes.
      const killAfterMs = random.next() * 60;
      const args = [path, childSeed];
      const lines = await runAndKill("./programs/store_crash_child.ts", args, killAfterMs);
      row = checkStore(path, row, lines, { report, round: `seed ${seed}, process ${childSeed}` });
    }
  };
  await Promise.all([run(0), run(1)]);
  return report;
}

/** Compares the stored row with the output of the killed process, and returns it. */
function checkStore(
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
      row = rowAfter(row, pending!);
      pending = null;
      report.changes++;
    }
  }
  if (hasJournal(path)) report.journals++;
  // Half of them are opened as a check does it.
  const stored = report.kills % 2 === 0 ? readRow(path) : readForWriting(path);
  const found = stored && {
    versionHash: stored.versionHash,
    document: stored.document,
    lastError: stored.lastError,
  };
  if (!pending) {
    report.between++;
    assert.deepEqual(found, row, round);
  } else if (JSON.stringify(found) === JSON.stringify(row)) report.undone++;
  else {
    report.done++;
    assert.deepEqual(found, rowAfter(row, pending), round);
  }
  assert.equal(quarantineIfDamaged(path), null, round);
  return found;
}

function readForWriting(path: string): AppliedTopology | null {
  using store = TopologyStore.open(path);
  return store.current();
}

function hasJournal(path: string): boolean {
  try {
    // An empty one restores nothing.
    return Deno.statSync(`${path}-journal`).size > 0;
  } catch {
    return false;
  }
}

/** What the processes had done when they were killed, and what they left. */
interface ApplyCrashReport {
  kills: number;
  /** Applies and teardowns that were completed. */
  completed: number;
  /** Killed during an apply or a teardown. */
  atWork: number;
  /** Left a topology that the next apply had to change. */
  halfDone: number;
}

/**
 * Kills processes that apply and tear down. Throws `AssertionError` when an apply or a teardown does not
 * fix what they left.
 */
export async function crashApplies({ kills, seed }: CrashOptions): Promise<ApplyCrashReport> {
  const report = { kills: 0, completed: 0, atWork: 0, halfDone: 0 };
  const random = new SeededRandom(seed);
  await withHost(async (host) => {
    host.engine.latencyMs = 5;
    while (report.kills < kills) {
      report.kills++;
      const args = [host.engine.socketPath, host.storePath];
      const lines = await runAndKill("./programs/apply_crash_child.ts", args, random.next() * 300);
      report.completed += lines.filter((line) => line !== "begun").length;
      // A killed process cannot empty the lock file.
      if (Deno.readTextFileSync(lockPathOf(host.storePath)) !== "") report.atWork++;
      if (await fix(host, random.next() < 0.5)) report.halfDone++;
    }
  });
  return report;
}

/** Applies what is stored, or tears it down. Returns true when an apply had to change something. */
async function fix(host: ApplyHost, isKept: boolean): Promise<boolean> {
  assert.equal(quarantineIfDamaged(host.storePath), null);
  const row = host.row();
  const validated = row?.topologyId === oneLan.plan.topologyId ? oneLan : threeLans;
  if (row) {
    assert.equal(row.topologyId, validated.plan.topologyId);
    assert.equal(row.document, writeJson(parseJson(validated.text)));
    if (row.versionHash !== "") assert.equal(row.versionHash, validated.versionHash);
    else assert.match(row.lastError!, /was interrupted/);
  }
  if (row && !isKept) {
    await host.teardown(row.topologyId);
    host.assertNothingLeft();
    return false;
  }
  const { changes } = await host.apply(validated);
  await host.assertApplied(validated);
  assert.equal((await host.apply(validated)).changes, 0);
  return row !== null && changes > 0;
}
