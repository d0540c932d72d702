import assert from "node:assert/strict";
import { lockPathOf } from "../../store/file.ts";
import { quarantineIfDamaged } from "../../store/recovery.ts";
import { TopologyStore } from "../../store/topology_store.ts";
import { parseJson, writeJson } from "../../topology/json.ts";
import { randomNumbers } from "./answer_streams.ts";
import { type ApplyHost, oneLan, threeLans, withHost } from "./apply_host.ts";
import { TemporaryFolder } from "./environment.ts";

/** What to run, and when to end it. */
interface KillOptions {
  readonly args: string[];
  /** How long after its first word, in milliseconds. */
  readonly killAfterMs: number;
}

/** Runs a program of tests/ and kills it; answers the lines that it printed until then. */
async function killAtRandom(
  program: string,
  { args, killAfterMs }: KillOptions,
): Promise<string[]> {
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
  // A line that was cut off was begun before what comes after it, and says nothing.
  return text.split("\n").slice(0, -1);
}

/** Changes to a store as a seed gives them, and what each makes of a row. */

/** A call of a writing method. */
interface StoreChange {
  readonly method: "put" | "recordError" | "clear";
  /** Different in each: it becomes the hash, the error and a part of the document. */
  readonly text: string;
  /** How long the document is, in characters. */
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

/** The change of so many; a third of the documents have many pages. */
export function changeOf(number: number, random: () => number): StoreChange {
  const draw = random();
  const method = draw < 0.55 ? "put" : draw < 0.85 ? "recordError" : "clear";
  const size = Math.floor(random() * (random() < 0.3 ? 200_000 : 3_000));
  return { method, text: `change ${number} ${Math.floor(random() * 1e9)}`, size };
}

/** Calls the method. */
export function carryOut(store: TopologyStore, { method, text, size }: StoreChange): void {
  if (method === "put") store.put(topologyId, text, documentOf(text, size));
  else if (method === "recordError") store.recordError(topologyId, text, documentOf(text, size));
  else store.clear(topologyId);
}

/** What the row is afterwards. */
function after(
  row: StoreRow | null,
  { method, text, size }: StoreChange,
): StoreRow | null {
  const document = documentOf(text, size);
  if (method === "clear") return null;
  if (method === "put") return { versionHash: text, document, lastError: null };
  return { ...(row ?? { versionHash: "", document }), lastError: text };
}

/** What the row is; throws what the store throws. */
function rowOf(store: TopologyStore): StoreRow | null {
  const row = store.current();
  if (!row) return null;
  const { versionHash, document, lastError } = row;
  return { versionHash, document, lastError };
}

function documentOf(text: string, size: number): string {
  const pattern = `${text}; `;
  return JSON.stringify({ text: pattern.repeat(Math.ceil(size / pattern.length)) });
}

/** Kills processes that change a store, and looks what they leave behind. */

/** How often to kill, and when: one seed gives the same changes and moments again. */
interface CrashOptions {
  readonly kills: number;
  readonly seed: number;
  /** How many stores there are, each with a process of its own. */
  readonly lanes?: number;
}

/** Where the processes were when they were killed, and what they left. */
interface CrashReport {
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
      const changes = await killAtRandom("./programs/store_crash_child.ts", {
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
  assert.equal(quarantineIfDamaged(path), null, round);
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

/** Kills processes that apply and tear down, and looks what they leave behind. */

/** What the processes had done when they were killed, and what they left. */
interface ApplyCrashReport {
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
      const lines = await killAtRandom("./programs/apply_crash_child.ts", {
        args: [host.engine.socketPath, host.storePath],
        killAfterMs: random() * 300,
      });
      report.completed += lines.filter((line) => line !== "begun").length;
      // Who is killed does not get to say that it is done.
      if (Deno.readTextFileSync(lockPathOf(host.storePath)) !== "") report.atWork++;
      if (await fix(host, random() < 0.5)) report.halfDone++;
    }
  });
  return report;
}

/** Applies what is stored, or tears it down; answers whether there was something left to do. */
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
  let changes = 0;
  if (isKept || !row) {
    changes = (await host.apply(validated)).changes;
    await host.assertApplied(validated);
    assert.equal((await host.apply(validated)).changes, 0);
  } else {
    await host.teardown(row.topologyId);
    host.assertNothingLeft();
  }
  return row !== null && changes > 0;
}
