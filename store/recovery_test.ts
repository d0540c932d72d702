import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { requirement } from "../tests/support/requirements.ts";
import { crashInAChange, runSql, type StoreUse } from "../tests/support/store.ts";
import { listQuarantined } from "./file.ts";
import { type ApplyStore, FallbackStore, openStore, quarantineIfDamaged } from "./recovery.ts";
import { StoreReader } from "./store_reader.ts";
import { TopologyStore } from "./topology_store.ts";

const start = Date.UTC(2026, 10, 22, 19, 5, 1);
const at = (seconds: number) => ({ now: () => start + seconds * 1000 });

/** SQLite rolls back what begins otherwise, and then removes it itself. */
const coldJournal = "\0 nothing to roll back";

/** Runs a test on a folder with a way to put a damaged file, or this text, in the store's place. */
function withFolder(
  test: (path: string, harm: (text?: string) => void, names: () => string[]) => void,
): void {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/topology.db`;
  const harm = (text = "no database ".repeat(999)) => Deno.writeTextFileSync(path, text);
  test(path, harm, () => [...Deno.readDirSync(folder.path)].map(({ name }) => name).sort());
}

function put(path: string): void {
  using store = TopologyStore.open(path);
  store.put("A", "h1", "{}");
}

Deno.test("setAsideIfDamaged() renames a damaged file after the time, and leaves no other", () => {
  withFolder((path, harm, names) => {
    harm();
    const aside = `${path}.corrupt-20261122T190501Z`;
    assert.equal(quarantineIfDamaged(path, at(0)), aside);
    assert.deepEqual(names(), ["topology.db.corrupt-20261122T190501Z"]);
    assert.deepEqual(listQuarantined(path), [aside]);
    put(path);
    assert.equal(quarantineIfDamaged(path, at(1)), null);
    assert.deepEqual(names(), ["topology.db", "topology.db.corrupt-20261122T190501Z"]);
  });
});

Deno.test("setAsideIfDamaged() takes a journal along, and leaves the lock", () => {
  withFolder((path, harm, names) => {
    harm();
    Deno.writeTextFileSync(`${path}-journal`, coldJournal);
    Deno.writeTextFileSync(`${path.replace(/[^/]*$/, "apply.lock")}`, "");
    quarantineIfDamaged(path, at(0));
    const aside = "topology.db.corrupt-20261122T190501Z";
    assert.deepEqual(names(), ["apply.lock", aside, `${aside}-journal`]);
    assert.deepEqual(listQuarantined(path), [path.replace(/[^/]*$/, aside)]);
  });
});

Deno.test("S15 quarantine keeps three files, the newest included", () => {
  withFolder((path, harm) => {
    const times = () => listQuarantined(path).map((it) => it.slice(-8));
    for (let second = 0; second < 5; second++) {
      harm();
      Deno.writeTextFileSync(`${path}-journal`, coldJournal);
      quarantineIfDamaged(path, at(second));
    }
    assert.deepEqual(times(), ["T190505Z", "T190504Z", "T190503Z"]);
    // A clock that was set back makes the newest look like the oldest.
    harm();
    assert.ok(quarantineIfDamaged(path, at(-600))?.endsWith("T185501Z"));
    assert.deepEqual(times(), ["T190505Z", "T190504Z", "T185501Z"]);
    // With their journals: the last had none.
    const names = [...Deno.readDirSync(path.replace(/[^/]*$/, ""))];
    assert.equal(names.length, 5);
  });
});

Deno.test("setAsideIfDamaged() overwrites none that was set aside in the same second", () => {
  withFolder((path, harm) => {
    for (const text of ["first", "second", "third"]) {
      harm(text.repeat(999));
      quarantineIfDamaged(path, at(0));
    }
    assert.deepEqual(
      listQuarantined(path).map((it) => [it.slice(-8), Deno.readTextFileSync(it).slice(0, 5)]),
      [["T190503Z", "third"], ["T190502Z", "secon"], ["T190501Z", "first"]],
    );
  });
});

Deno.test("S1 quarantine leaves a sound, empty, absent or half written store", () => {
  withFolder((path, harm, names) => {
    assert.equal(quarantineIfDamaged(path), null);
    assert.deepEqual(names(), []);
    harm("");
    assert.equal(quarantineIfDamaged(path), null);
    put(path);
    assert.equal(quarantineIfDamaged(path), null);
    crashInAChange(path);
    assert.equal(quarantineIfDamaged(path), null);
    using store = TopologyStore.open(path);
    assert.equal(store.current()?.lastError, null);
    assert.deepEqual(names(), ["topology.db"]);
  });
});

Deno.test("setAsideIfDamaged() leaves a file that somebody holds locked, and says that it is", () => {
  withFolder((path, _, names) => {
    put(path);
    const other = new DatabaseSync(path);
    other.exec("BEGIN EXCLUSIVE");
    assert.throws(() => quarantineIfDamaged(path, { busyTimeoutMs: 0 }), /database is locked/);
    other.close();
    assert.deepEqual(listQuarantined(path), []);
    assert.deepEqual(names(), ["topology.db"]);
  });
});

Deno.test("setAsideIfDamaged() leaves what is no file, and a folder in which it cannot look", () => {
  withFolder((path) => {
    Deno.mkdirSync(path);
    assert.throws(() => quarantineIfDamaged(path), /not a regular file/);
    assert.throws(() => quarantineIfDamaged(`${path}/absent/x\0y`));
    assert.equal(quarantineIfDamaged(`${path}/absent/topology.db`), null);
    assert.deepEqual(listQuarantined(`${path}/absent/topology.db`), []);
  });
});

Deno.test("S3 quarantine reads the whole file, also what the row does not need", () => {
  withFolder((path) => {
    put(path);
    const bytes = Deno.readFileSync(path);
    const pageOf = new DatabaseSync(path, { readOnly: true });
    const { page } = pageOf.prepare(
      "SELECT rootpage AS page FROM sqlite_schema WHERE type = 'index' AND sql IS NULL",
    ).get()!;
    pageOf.close();
    bytes.fill(0, (Number(page) - 1) * 4096, Number(page) * 4096);
    Deno.writeFileSync(path, bytes);
    {
      using reader = TopologyStore.open(path, { readOnly: true });
      assert.equal(reader.current()?.versionHash, "h1");
    }
    assert.ok(quarantineIfDamaged(path));
  });
});

Deno.test("setAsideIfDamaged() leaves what an operator keeps beside the files that it has set aside", () => {
  withFolder((path, harm, names) => {
    const own = ["20261122T190400Z.sql", "20261122T190500Z~", "of-last-week"];
    for (const end of own) Deno.writeTextFileSync(`${path}.corrupt-${end}`, "");
    Deno.mkdirSync(`${path}.corrupt-looked-at`);
    for (let second = 0; second < 5; second++) {
      harm();
      quarantineIfDamaged(path, at(second));
    }
    assert.equal(listQuarantined(path).length, 3);
    for (const end of [...own, "looked-at"]) {
      assert.ok(names().includes(`topology.db.corrupt-${end}`), end);
    }
  });
});

/** What changes a row. */
const events = ["INSERT", "UPDATE", "DELETE"];
const problem = "the store cannot be written: database or disk is full; free some space there; " +
  "what is applied is kept in memory only";

/** A store that holds A, its disk, and the memory of a process that uses it. */
class Disk implements Disposable {
  readonly #folder = new TemporaryFolder();
  readonly path = `${this.#folder.path}/topology.db`;
  readonly memory = new FallbackStore(this.path);

  constructor() {
    using store = TopologyStore.open(this.path);
    store.put("A", "h1", '{"a":1}');
  }

  /** Only for rows: to fill a disk in earnest needs one (surroundings). */
  fill(): void {
    for (const event of events) {
      runSql(
        this.path,
        `CREATE TRIGGER full_${event} BEFORE ${event} ON applied_topology
         BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END`,
      );
    }
  }

  free(): void {
    for (const event of events) runSql(this.path, `DROP TRIGGER full_${event}`);
  }

  /** Works with the store as one apply does. */
  use<T>(work: (store: ApplyStore) => T): T {
    this.memory.recover();
    return work(this.memory);
  }

  /** What counts for the process, and what is in the file: id, hash and error. */
  get rows(): [counts: string, file: string] {
    using file = TopologyStore.open(this.path, { readOnly: true });
    const [counts, stored] = [this.use((store) => store.current()), file.current()].map((row) =>
      row ? `${row.topologyId} ${row.versionHash} ${row.lastError}` : "idle"
    );
    return [counts!, stored!];
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}

const changes: [what: string, change: (store: ApplyStore) => void, counts: string][] = [
  ["put", (store) => store.put("A", "h2", "{}"), "A h2 null"],
  ["recordError", (store) => store.recordError("A", "boom"), "A h1 boom"],
  ["clear", (store) => store.clear("A"), "idle"],
];

for (const [what, change, counts] of changes) {
  Deno.test(`FallbackStore.${what}() keeps in memory what cannot be written, until it can`, () => {
    using disk = new Disk();
    disk.fill();
    disk.use(change);
    assert.equal(disk.memory.problem, problem);
    assert.deepEqual(disk.rows, [counts, "A h1 null"]);
    disk.free();
    assert.deepEqual(disk.rows, [counts, counts]);
    assert.equal(disk.memory.problem, null);
  });
}

Deno.test("FallbackStore goes on in memory from change to change, by the store's rules", () => {
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

Deno.test("FallbackStore lets count what another process has written since", () => {
  using disk = new Disk();
  disk.fill();
  disk.use((store) => store.put("A", "h2", "{}"));
  disk.free();
  {
    using other = TopologyStore.open(disk.path);
    other.put("A", "h3", "{}");
  }
  assert.deepEqual(disk.rows, ["A h3 null", "A h3 null"]);
  assert.equal(disk.memory.problem, null);
});

Deno.test("FallbackStore keeps nothing that the store's rules, or the value, rule out", () => {
  using disk = new Disk();
  const throwing: [(store: ApplyStore) => void, object][] = [
    [(store) => store.put("B", "h2", "{}"), { name: "AlreadyApplied" }],
    [(store) => store.recordError("B", "boom"), { name: "AlreadyApplied" }],
    [(store) => store.put("A", "h".repeat(1001), "{}"), RangeError],
    [(store) => store.put("A", "h2", "{"), SyntaxError],
  ];
  for (const [change, error] of throwing) assert.throws(() => disk.use(change), error);
  assert.equal(disk.memory.problem, null);
  assert.deepEqual(disk.rows, ["A h1 null", "A h1 null"]);
});

Deno.test("FallbackStore keeps nothing while another process holds the file, and throws", () => {
  using disk = new Disk();
  const other = new DatabaseSync(disk.path);
  other.exec("BEGIN IMMEDIATE");
  assert.throws(() => disk.use((store) => store.prepare()), /database is locked/);
  assert.throws(() => disk.use((store) => store.put("A", "h2", "{}")), /database is locked/);
  assert.equal(disk.memory.problem, null);
  other.close();
  disk.use((store) => store.put("A", "h2", "{}"));
  assert.deepEqual(disk.rows, ["A h2 null", "A h2 null"]);
});

Deno.test("openStore() throws where it cannot be written, for a process that will not remember", () => {
  using disk = new Disk();
  disk.fill();
  const store = openStore(disk.path);
  assert.throws(() => store.put("A", "h2", "{}"), /database or disk is full/);
  store.close();
  assert.deepEqual(disk.rows, ["A h1 null", "A h1 null"]);
});

const never = new AbortController().signal;

Deno.test("S20 an apply's end is kept when the folder is writable only by then", async () => {
  using folder = new TemporaryFolder();
  // There is nothing where the link leads to: no file can be made, nor read.
  Deno.symlinkSync(`${folder.path}/later`, `${folder.path}/state`);
  const path = `${folder.path}/state/topology.db`;
  const memory = new FallbackStore(path);
  memory.recover();
  memory.recordError("A", "the apply is under way", "{}");
  assert.match(memory.problem ?? "", /cannot be written/);
  Deno.mkdirSync(`${folder.path}/later`);
  // As the next beat does.
  memory.recover();
  assert.equal(memory.problem, null);
  memory.put("A", "h1", '{"a":1}');
  assert.equal(memory.current()?.versionHash, "h1");
  const reader = new StoreReader(path);
  assert.equal(memory.resolve(await reader.current(never))?.versionHash, "h1");
  memory.recover();
  const stored = await reader.current(never);
  assert.deepEqual([stored?.versionHash, stored?.lastError, memory.problem], ["h1", null, null]);
  reader.close();
});

/** A shell on which file permissions have an effect, which is root's only without these. */
const confined = [
  ...(Deno.uid() === 0 ? ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] : []),
  "sh",
];
/** A shell that may mount what nobody else sees, and which is gone with it. */
const mounting = ["unshare", "--mount", "sh"];

const needs = new Map([
  [confined, requirement("setpriv, as root", await works(confined))],
  [mounting, requirement("unshare and the right to use it", await works(mounting))],
]);

async function works([command = "", ...args]: string[]): Promise<boolean> {
  try {
    return (await new Deno.Command(command, { args: [...args, "-c", "true"] }).output()).success;
  } catch {
    return false;
  }
}

/** One way in which a host keeps the agent from its store. */
interface HostConstraints {
  readonly what: string;
  readonly shell: string[];
  /** Shell commands that bring it about and end it; the folder is `$S`. */
  readonly begin: string;
  readonly end: string;
  /** How using the store goes meanwhile. */
  readonly use: StoreUse;
  /** There is no file yet, or a damaged one. */
  readonly file?: "absent" | "damaged";
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
const remount = "mount --bind $S $S && mount -o remount,ro,bind $S $S";
const tmpfs =
  "cp $S/topology.db $S.db; mount -t tmpfs -o size=256k none $S; cp $S.db $S/topology.db";
const fill = "dd if=/dev/zero of=$S/fill bs=1k 2>&-";
const noFile = "it is not a regular file";

const rows: HostConstraints[] = [
  {
    what: "S8 a file that is read-only",
    shell: confined,
    begin: "chmod 400 $S/topology.db",
    end: "chmod 600 $S/topology.db",
    use: every("h1", readOnly),
  },
  {
    what: "S9 a folder that is read-only",
    shell: confined,
    begin: "chmod 500 $S",
    end: "chmod 700 $S",
    use: every("h1", readOnly),
  },
  {
    what: "S12 a file that may not be read",
    shell: confined,
    begin: "chmod 0 $S/topology.db",
    end: "chmod 600 $S/topology.db",
    use: everything("unable to open database file"),
  },
  {
    what: "S12 a folder that may not be entered",
    shell: confined,
    begin: "chmod 0 $S",
    end: "chmod 700 $S",
    use: everything("Permission denied (os error 13)"),
  },
  {
    what: "S9 a file system that is read-only",
    shell: mounting,
    begin: remount,
    end: "mount -o remount,rw,bind $S",
    use: every("h1", readOnly),
  },
  {
    what: "S9 a file system that is read-only, and no file yet",
    shell: mounting,
    begin: remount,
    end: "mount -o remount,rw,bind $S",
    use: every("idle", erofs),
    file: "absent",
  },
  {
    what: "S11 a file system that is read-only, and a damaged file",
    shell: mounting,
    begin: remount,
    end: "mount -o remount,rw,bind $S",
    use: every(
      malformed,
      malformed,
      `the store is damaged (${malformed}), and cannot be set aside: Read-only file system; remount it, so that ` +
        "the agent can write there",
    ),
    file: "damaged",
  },
  {
    what: "S10 a disk that is full",
    shell: mounting,
    begin: `${tmpfs}; ${fill}`,
    end: "rm $S/fill",
    use: every("h1", full),
  },
  {
    what: "S10 a disk that is full, and no file yet",
    shell: mounting,
    begin: `mount -t tmpfs -o size=256k none $S; ${fill}`,
    end: "rm $S/fill",
    use: { ...every("idle", full), clear: "done" },
    file: "absent",
  },
  {
    what: "S10 a disk that is full, and a damaged file",
    shell: mounting,
    begin: `${tmpfs}; ${fill}`,
    end: "rm $S/fill",
    use: every(malformed, malformed, "set aside"),
    file: "damaged",
  },
  {
    what: "S13 a folder in the file's place",
    shell: confined,
    begin: "mv $S/topology.db $S/away; mkdir $S/topology.db",
    end: "rmdir $S/topology.db; mv $S/away $S/topology.db",
    use: everything(noFile),
  },
  {
    what: "S13 a pipe in the file's place",
    shell: confined,
    begin: "mv $S/topology.db $S/away; mkfifo -m 600 $S/topology.db",
    end: "mv $S/away $S/topology.db",
    use: everything(noFile),
  },
  {
    what: "S13 a link to itself in the file's place",
    shell: confined,
    begin: "mv $S/topology.db $S/away; ln -s topology.db $S/topology.db",
    end: "mv $S/away $S/topology.db",
    use: everything(noFile),
  },
];

/** What a program of the tests printed, a line of JSON each, which ran where the row has its effect. */
async function runIn(
  { shell: [command = "", ...args] }: HostConstraints,
  { folder, script, program }: { folder: string; script: string; program: string[] },
) {
  const [name = "", ...more] = program;
  const { success, stdout, stderr } = await new Deno.Command(command, {
    args: [
      ...args,
      "-c",
      script,
      "sh",
      ...[Deno.execPath(), "run", "-q", "--no-check", "-A", import.meta.resolve(name)],
      `${folder}/topology.db`,
      ...more,
    ],
    env: { S: folder, NO_COLOR: "1" },
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  // The system's errors name the call and the path, some of them, and SQLite's the path.
  const text = new TextDecoder().decode(stdout)
    .replaceAll(/: \w+ '\/[^']*'( -> '[^']*')?/g, "").replaceAll(/: \/[^";]*/g, "");
  return text.trim().split("\n").map((line) => JSON.parse(line));
}

for (const row of rows) {
  const { ignore, suffix, check } = needs.get(row.shell)!;
  Deno.test({
    name: `${row.what}: TopologyStore works after the fix${suffix}`,
    ignore,
    async fn() {
      check();
      using folder = new TemporaryFolder();
      const path = `${folder.path}/state/topology.db`;
      if (row.file === "absent") Deno.mkdirSync(`${folder.path}/state`);
      else {
        using store = TopologyStore.open(path);
        store.put("A", "h1", "{}");
      }
      if (row.file === "damaged") Deno.truncateSync(path, 5_000);
      const [meanwhile, afterwards] = await runIn(row, {
        folder: `${folder.path}/state`,
        script: `${row.begin}\n"$@"\n${row.end}\n"$@"`,
        program: ["../tests/support/programs/store_user.ts"],
      });
      assert.deepEqual(meanwhile, row.use);
      // What is damaged is used before it is set aside, and so works from the next time on.
      if (row.file === "damaged" && meanwhile.quarantine !== "set aside") {
        assert.equal(afterwards.quarantine, "set aside");
      } else assert.deepEqual(afterwards, every(row.file ? "idle" : "h1", "done"));
    },
  });

  const isReadable = ["h1", "idle", malformed].includes(row.use.current);
  Deno.test({
    name: `${row.what}: a running agent ${
      isReadable ? "continues in memory" : "applies nothing"
    }${suffix}`,
    ignore,
    async fn() {
      check();
      using folder = new TemporaryFolder();
      const spoil = { absent: "rm $S/*; ", damaged: "truncate -s 5000 $S/topology.db; ", none: "" };
      const [before, meanwhile, afterwards] = await runIn(row, {
        folder: `${folder.path}/state`,
        script: '"$@"',
        program: [
          "../tests/support/programs/store_lasting_user.ts",
          spoil[row.file ?? "none"] + row.begin,
          row.end,
        ],
      });
      const { apply, ...told } = meanwhile;
      if (!isReadable) {
        assert.deepEqual(told, before);
        assert.equal(told.state, "unreadable");
        assert.equal(apply, told.detail.replace("read", "use"));
        assert.deepEqual(afterwards, { state: "ok", applied: "1" });
        return;
      }
      const [state, applied] = row.file ? ["idle", null] : ["ok", "1"];
      assert.deepEqual([before.state, before.applied], [state, applied]);
      assert.deepEqual([apply, told.state, told.applied], ["done", "ok", "2"]);
      assert.match(
        told.detail,
        /(cannot be written|cannot be set aside): .*; .*; what is applied is kept in memory only/,
      );
      assert.deepEqual([afterwards.state, afterwards.applied], ["ok", "2"]);
      if (row.file === "damaged") assert.match(afterwards.detail, /^the store was damaged and is/);
      else assert.equal(afterwards.detail, undefined);
    },
  });
}
