import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { TemporaryFolder } from "../tests/support/environment.ts";
import {
  confined as confinedProgram,
  confinement,
  mounts,
  outputOf,
} from "../tests/support/requirements.ts";
import {
  crashInAChange,
  execSql,
  never,
  StorePlace,
  type StoreUse,
} from "../tests/support/store.ts";
import { listQuarantined } from "./file.ts";
import { type ApplyStore, FallbackStore, openStore, quarantineIfDamaged } from "./recovery.ts";
import { StoreReader } from "./store_reader.ts";
import { readRow, TopologyStore } from "./topology_store.ts";

const start = Date.UTC(2026, 10, 22, 19, 5, 1);
const at = (seconds: number) => start + seconds * 1000;

/** A journal that SQLite does not roll back; it would remove another. */
const coldJournal = "\0 nothing to roll back";
const quarantined = "topology.db.corrupt-20261122T190501Z";

function damage({ path }: StorePlace, text = "no database "): void {
  Deno.writeTextFileSync(path, text.repeat(999));
}

Deno.test("quarantineIfDamaged() renames file and journal, and leaves the lock", () => {
  using place = new StorePlace();
  const { path } = place;
  damage(place);
  Deno.writeTextFileSync(`${path}-journal`, coldJournal);
  Deno.writeTextFileSync(`${place.folder}/apply.lock`, "");
  const target = `${place.folder}/${quarantined}`;
  assert.equal(quarantineIfDamaged(path, at(0)), target);
  const moved = [quarantined, `${quarantined}-journal`];
  assert.deepEqual(place.names(), ["apply.lock", ...moved]);
  assert.deepEqual(listQuarantined(path), [target]);
  place.put();
  assert.equal(quarantineIfDamaged(path, at(1)), null);
  assert.deepEqual(place.names(), ["apply.lock", "topology.db", ...moved]);
});

Deno.test("S15 quarantine keeps three files, the newest included", () => {
  using place = new StorePlace();
  const { path } = place;
  const times = () => listQuarantined(path).map((it) => it.slice(-8));
  // An operator's own files beside them.
  const own = ["20261122T190400Z.sql", "20261122T190500Z~", "of-last-week"];
  for (const end of own) Deno.writeTextFileSync(`${path}.corrupt-${end}`, "");
  Deno.mkdirSync(`${path}.corrupt-looked-at`);
  for (let second = 0; second < 5; second++) {
    damage(place);
    Deno.writeTextFileSync(`${path}-journal`, coldJournal);
    quarantineIfDamaged(path, at(second));
  }
  assert.deepEqual(times(), ["T190505Z", "T190504Z", "T190503Z"]);
  // After the clock was set back, the newest looks like the oldest.
  damage(place);
  assert.ok(quarantineIfDamaged(path, at(-600))?.endsWith("T185501Z"));
  assert.deepEqual(times(), ["T190505Z", "T190504Z", "T185501Z"]);
  for (const end of [...own, "looked-at"]) {
    assert.ok(place.names().includes(`topology.db.corrupt-${end}`), end);
  }
  // Two have journals, the last has none.
  assert.equal(place.names().length, 5 + own.length + 1);
});

Deno.test("S15 quarantine leaves what it cannot remove", () => {
  using place = new StorePlace();
  const target = `${place.folder}/${quarantined}`;
  for (const year of [2001, 2002, 2003]) {
    Deno.mkdirSync(`${place.path}.corrupt-${year}1122T190501Z/full`, { recursive: true });
  }
  damage(place);
  assert.equal(quarantineIfDamaged(place.path, at(0)), target);
  assert.equal(listQuarantined(place.path).length, 4);
});

Deno.test("quarantineIfDamaged() overwrites no file of the same second", () => {
  using place = new StorePlace();
  for (const text of ["first", "second", "third"]) {
    damage(place, text);
    quarantineIfDamaged(place.path, at(0));
  }
  const found = listQuarantined(place.path)
    .map((it) => [it.slice(-8), Deno.readTextFileSync(it).slice(0, 5)]);
  assert.deepEqual(found, [["T190503Z", "third"], ["T190502Z", "secon"], ["T190501Z", "first"]]);
});

Deno.test("S1 quarantine leaves a sound, empty, absent or half written store", () => {
  using place = new StorePlace();
  const { path } = place;
  const states = [
    () => {},
    () => Deno.writeTextFileSync(path, ""),
    () => place.put(),
    () => crashInAChange(path),
  ];
  for (const [index, makeState] of states.entries()) {
    makeState();
    assert.equal(quarantineIfDamaged(path), null);
    assert.deepEqual(place.names(), index === 0 ? [] : ["topology.db"]);
  }
  using store = place.open();
  assert.equal(store.current()?.lastError, null);
  assert.deepEqual(place.names(), ["topology.db"]);
});

Deno.test("quarantineIfDamaged() leaves a locked file, and throws", () => {
  using place = new StorePlace();
  place.put();
  const other = new DatabaseSync(place.path);
  other.exec("BEGIN EXCLUSIVE");
  assert.throws(() => quarantineIfDamaged(place.path), /database is locked/);
  other.close();
  assert.deepEqual(place.names(), ["topology.db"]);
});

Deno.test("quarantineIfDamaged() leaves what is no file", () => {
  using place = new StorePlace();
  const { path } = place;
  Deno.mkdirSync(path);
  assert.throws(() => quarantineIfDamaged(path), /not a regular file/);
  assert.throws(() => quarantineIfDamaged(`${path}/absent/x\0y`));
  assert.equal(quarantineIfDamaged(`${path}/absent/topology.db`), null);
  assert.deepEqual(listQuarantined(`${path}/absent/topology.db`), []);
});

Deno.test("S3 quarantine reads the whole file, also what the row does not need", () => {
  using place = new StorePlace();
  place.put();
  const bytes = Deno.readFileSync(place.path);
  const [index] = place.sql(
    "SELECT rootpage AS page FROM sqlite_schema WHERE type = 'index' AND sql IS NULL",
  );
  bytes.fill(0, (Number(index?.page) - 1) * 4096, Number(index?.page) * 4096);
  Deno.writeFileSync(place.path, bytes);
  assert.equal(readRow(place.path)?.versionHash, "h1");
  assert.ok(quarantineIfDamaged(place.path));
});

const triggerEvents = ["INSERT", "UPDATE", "DELETE"];
const problem = "the store cannot be written: database or disk is full; free some space there; " +
  "what is applied is kept in memory only";

/** A store that holds A, and an agent that uses it. */
class Disk implements Disposable {
  readonly #place = new StorePlace();
  readonly path = this.#place.path;
  readonly fallback = new FallbackStore(this.path);

  constructor() {
    using store = this.#place.open();
    store.put("A", "h1", '{"a":1}');
  }

  /** Lets changes of rows fail; a disk that is really full needs a mount, see below. */
  fill(): void {
    const statements = triggerEvents.map((event) =>
      `CREATE TRIGGER full_${event} BEFORE ${event} ON applied_topology
       BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END;`
    );
    execSql(this.path, statements.join("\n"));
  }

  free(): void {
    execSql(this.path, triggerEvents.map((event) => `DROP TRIGGER full_${event};`).join("\n"));
  }

  /** Works with the store as one apply does. */
  use<T>(work: (store: ApplyStore) => T): T {
    this.fallback.recover();
    return work(this.fallback);
  }

  /** What counts for the agent, and what is in the file: id, hash and error. */
  get rows(): [counts: string, file: string] {
    const rows = [this.use((store) => store.current()), readRow(this.path)];
    const [counts, stored] = rows.map((row) =>
      row ? `${row.topologyId} ${row.versionHash} ${row.lastError}` : "idle"
    );
    return [counts!, stored!];
  }

  [Symbol.dispose](): void {
    this.#place[Symbol.dispose]();
  }
}

Deno.test("FallbackStore keeps a change in memory until the file can be written", () => {
  const changes: [change: (store: ApplyStore) => void, counts: string][] = [
    [(store) => store.put("A", "h2", "{}"), "A h2 null"],
    [(store) => store.recordError("A", "boom"), "A h1 boom"],
    [(store) => store.clear("A"), "idle"],
  ];
  for (const [change, counts] of changes) {
    using disk = new Disk();
    disk.fill();
    disk.use(change);
    assert.equal(disk.fallback.problem, problem);
    assert.deepEqual(disk.rows, [counts, "A h1 null"]);
    disk.free();
    assert.deepEqual(disk.rows, [counts, counts]);
    assert.equal(disk.fallback.problem, null);
  }
});

Deno.test("FallbackStore applies the store's rules to later changes", () => {
  using disk = new Disk();
  disk.fill();
  disk.use((store) => store.put("A", "h2", '{"b":2}'));
  assert.throws(() => disk.use((store) => store.put("B", "h3", "{}")), { name: "AlreadyApplied" });
  disk.use((store) => store.clear("A"));
  assert.deepEqual(disk.rows, ["idle", "A h1 null"]);
  disk.use((store) => store.recordError("B", "boom", '{"c":3}'));
  disk.free();
  assert.deepEqual(disk.rows, ["B  boom", "B  boom"]);
  assert.equal(disk.use((store) => store.current()?.document), '{"c":3}');
});

Deno.test("FallbackStore prefers what another process has written since", () => {
  using disk = new Disk();
  disk.fill();
  disk.use((store) => store.put("A", "h2", "{}"));
  disk.free();
  {
    using other = TopologyStore.open(disk.path);
    other.put("A", "h3", "{}");
  }
  assert.deepEqual(disk.rows, ["A h3 null", "A h3 null"]);
  assert.equal(disk.fallback.problem, null);
});

Deno.test("FallbackStore keeps nothing that the store rejects", () => {
  using disk = new Disk();
  const rejected: [(store: ApplyStore) => void, object][] = [
    [(store) => store.put("B", "h2", "{}"), { name: "AlreadyApplied" }],
    [(store) => store.recordError("B", "boom"), { name: "AlreadyApplied" }],
    [(store) => store.put("A", "h".repeat(1001), "{}"), RangeError],
    [(store) => store.put("A", "h2", "{"), SyntaxError],
  ];
  for (const [change, error] of rejected) assert.throws(() => disk.use(change), error);
  assert.equal(disk.fallback.problem, null);
  assert.deepEqual(disk.rows, ["A h1 null", "A h1 null"]);
});

Deno.test("FallbackStore throws, and keeps nothing, while the file is locked", () => {
  using disk = new Disk();
  const other = new DatabaseSync(disk.path);
  other.exec("BEGIN IMMEDIATE");
  assert.throws(() => disk.use((store) => store.prepare()), /database is locked/);
  assert.throws(() => disk.use((store) => store.put("A", "h2", "{}")), /database is locked/);
  assert.equal(disk.fallback.problem, null);
  other.close();
  disk.use((store) => store.put("A", "h2", "{}"));
  assert.deepEqual(disk.rows, ["A h2 null", "A h2 null"]);
});

Deno.test("openStore() keeps nothing in memory", () => {
  using disk = new Disk();
  disk.fill();
  {
    using store = openStore(disk.path);
    assert.throws(() => store.put("A", "h2", "{}"), /database or disk is full/);
  }
  assert.deepEqual(disk.rows, ["A h1 null", "A h1 null"]);
});

Deno.test("S20 an apply's end is kept when the folder is writable only by then", async () => {
  using place = new StorePlace();
  // The link leads nowhere: no file can be created or read.
  Deno.symlinkSync(`${place.folder}/later`, `${place.folder}/state`);
  const path = `${place.folder}/state/topology.db`;
  const fallback = new FallbackStore(path);
  fallback.recover();
  fallback.recordError("A", "the apply is under way", "{}");
  assert.match(fallback.problem ?? "", /cannot be written/);
  Deno.mkdirSync(`${place.folder}/later`);
  // As the next heartbeat does.
  fallback.recover();
  assert.equal(fallback.problem, null);
  fallback.put("A", "h1", '{"a":1}');
  assert.equal(fallback.current()?.versionHash, "h1");
  const reader = new StoreReader(path);
  const stored = await reader.current(never);
  assert.equal(fallback.resolve(stored)?.versionHash, "h1");
  assert.deepEqual([stored?.versionHash, stored?.lastError, fallback.problem], ["h1", null, null]);
  reader.close();
});

/** A shell on which file permissions have an effect. */
const confined = [...confinedProgram, "sh"];
/** A shell that may mount what nobody else sees, and which is gone with it. */
const mounting = ["unshare", "--mount", "sh"];

const needs = new Map([[confined, confinement], [mounting, mounts]]);

/** One way in which a host keeps the agent from its store. */
interface HostConstraint {
  readonly shell: string[];
  /** Shell commands that begin and end it; `$S` is the folder. */
  readonly begin: string;
  readonly end: string;
}

const every = (current: string, change: string, quarantine = "kept"): StoreUse => ({
  current,
  put: change,
  recordError: change,
  clear: change,
  quarantine,
});
const everything = (message: string) => every(message, message, message);
const malformed = "database disk image is malformed";
const readOnly = "attempt to write a readonly database";
const erofs = "Read-only file system (os error 30)";
const full = "database or disk is full";
const noFile = "it is not a regular file";

/** Changes the mode of a file or folder, and then back. */
const chmod = (mode: string, target: string, before: string) => ({
  shell: confined,
  begin: `chmod ${mode} ${target}`,
  end: `chmod ${before} ${target}`,
});
const readOnlyMount = {
  shell: mounting,
  begin: "mount --bind $S $S && mount -o remount,ro,bind $S $S",
  end: "mount -o remount,rw,bind $S",
};
const emptyDisk = "mount -t tmpfs -o size=256k none $S";
const fill = "dd if=/dev/zero of=$S/fill bs=1k 2>&-";
const fullDisk = {
  shell: mounting,
  begin: `cp $S/topology.db $S.db; ${emptyDisk}; cp $S.db $S/topology.db; ${fill}`,
  end: "rm $S/fill",
};
const inItsPlace = (make: string, remove: string) => ({
  shell: confined,
  begin: `mv $S/topology.db $S/away; ${make} $S/topology.db`,
  end: `${remove} $S/topology.db; mv $S/away $S/topology.db`,
});

/** Each constraint, how using the store ends meanwhile, and the file that is there before. */
const rows: [string, HostConstraint, StoreUse, file?: "absent" | "damaged"][] = [
  ["S8 a file that is read-only", chmod("400", "$S/topology.db", "600"), every("h1", readOnly)],
  ["S8 a folder that is read-only", chmod("500", "$S", "700"), every("h1", readOnly)],
  [
    "S12 a file that may not be read",
    chmod("0", "$S/topology.db", "600"),
    everything("unable to open database file"),
  ],
  [
    "S12 a folder that may not be entered",
    chmod("0", "$S", "700"),
    everything("Permission denied (os error 13)"),
  ],
  ["S8 a file system that is read-only", readOnlyMount, every("h1", readOnly)],
  [
    "S8 a file system that is read-only, and no file yet",
    readOnlyMount,
    every("idle", erofs),
    "absent",
  ],
  [
    "S11 a file system that is read-only, and a damaged file",
    readOnlyMount,
    every(
      malformed,
      malformed,
      `the store is damaged (${malformed}), and cannot be moved away: Read-only file system; ` +
        "remount it, so that the agent can write there",
    ),
    "damaged",
  ],
  ["S10 a disk that is full", fullDisk, every("h1", full)],
  [
    "S10 a disk that is full, and no file yet",
    { ...fullDisk, begin: `${emptyDisk}; ${fill}` },
    { ...every("idle", full), clear: "done" },
    "absent",
  ],
  [
    "S10 a disk that is full, and a damaged file",
    fullDisk,
    every(malformed, malformed, "set aside"),
    "damaged",
  ],
  ["S13 a folder in the file's place", inItsPlace("mkdir", "rmdir"), everything(noFile)],
  ["S13 a pipe in the file's place", inItsPlace("mkfifo -m 600", "rm"), everything(noFile)],
  [
    "S13 a link to itself in the file's place",
    inItsPlace("ln -s topology.db", "rm"),
    everything(noFile),
  ],
];

/** Runs a test, which needs this shell, with the folder of a store. */
function shellTest(title: string, shell: string[], test: (folder: string) => Promise<void>): void {
  needs.get(shell)!.test(title, async () => {
    using folder = new TemporaryFolder();
    await test(`${folder.path}/state`);
  });
}

/** Runs a program of the tests by a script, and returns the lines of JSON that it printed. */
async function runIn(
  shell: string[],
  { folder, script, program, args = [] }: {
    folder: string;
    script: string;
    program: string;
    args?: string[];
  },
) {
  const url = import.meta.resolve(`../tests/support/programs/${program}`);
  const deno = [Deno.execPath(), "run", "-q", "--no-check", "-A", url];
  const command = [...shell, "-c", script, "sh", ...deno, `${folder}/topology.db`, ...args];
  const printed = await outputOf(command, { env: { S: folder, NO_COLOR: "1" } });
  // Some errors name the call and the path.
  const text = printed.replaceAll(/: \w+ '\/[^']*'( -> '[^']*')?/g, "")
    .replaceAll(/: \/[^";]*/g, "");
  return text.trim().split("\n").map((line) => JSON.parse(line));
}

/** Returns the heartbeats of a running agent after `begin`, after another apply, and after `end`. */
function runAgent(shell: string[], folder: string, begin: string, end: string) {
  const program = "store_lasting_user.ts";
  return runIn(shell, { folder, script: '"$@"', program, args: [begin, end] });
}

for (const [what, { shell, begin, end }, use, file] of rows) {
  shellTest(`${what}: TopologyStore works after the fix`, shell, async (folder) => {
    const path = `${folder}/topology.db`;
    if (file === "absent") Deno.mkdirSync(folder);
    else {
      using store = TopologyStore.open(path);
      store.put("A", "h1", "{}");
    }
    if (file === "damaged") Deno.truncateSync(path, 5_000);
    const script = `${begin}\n"$@"\n${end}\n"$@"`;
    const [meanwhile, afterwards] = await runIn(shell, {
      folder,
      script,
      program: "store_user.ts",
    });
    assert.deepEqual(meanwhile, use);
    // The program quarantines a damaged file last.
    if (file === "damaged" && meanwhile.quarantine !== "set aside") {
      assert.equal(afterwards.quarantine, "set aside");
    } else assert.deepEqual(afterwards, every(file ? "idle" : "h1", "done"));
  });

  if (!["h1", "idle", malformed].includes(use.current)) {
    shellTest(`${what}: a running agent applies nothing`, shell, async (folder) => {
      const [before, { apply, ...told }, afterwards] = await runAgent(shell, folder, begin, end);
      assert.deepEqual(told, before);
      assert.equal(told.state, "unreadable");
      assert.equal(apply, told.detail.replace("read", "use"));
      assert.deepEqual(afterwards, { state: "ok", applied: "1" });
    });
    continue;
  }

  shellTest(`${what}: a running agent continues in memory`, shell, async (folder) => {
    const spoil = { absent: "rm $S/*; ", damaged: "truncate -s 5000 $S/topology.db; ", none: "" };
    const spoilAndBegin = spoil[file ?? "none"] + begin;
    const [before, told, afterwards] = await runAgent(shell, folder, spoilAndBegin, end);
    const [state, applied] = file ? ["idle", null] : ["ok", "1"];
    assert.deepEqual([before.state, before.applied], [state, applied]);
    assert.deepEqual([told.apply, told.state, told.applied], ["done", "ok", "2"]);
    assert.match(
      told.detail,
      /(cannot be written|cannot be moved away): .*; .*; what is applied is kept in memory only/,
    );
    assert.deepEqual([afterwards.state, afterwards.applied], ["ok", "2"]);
    if (file === "damaged") {
      assert.match(afterwards.detail, /^the store was damaged and was moved to /);
    } else assert.equal(afterwards.detail, undefined);
  });
}

shellTest(
  "S17 a running agent applies nothing while the lock is not its own",
  confined,
  async (folder) => {
    const { begin, end } = chmod("0", "$S/apply.lock", "600");
    const [, meanwhile] = await runAgent(confined, folder, begin, end);
    assert.match(meanwhile.apply, /^Cannot lock \S+apply\.lock: Permission denied; .*agent's user/);
    assert.deepEqual([meanwhile.state, meanwhile.applied], ["ok", "1"]);
  },
);
