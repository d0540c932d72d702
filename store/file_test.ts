import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { randomNumbers } from "../tests/support/answer_streams.ts";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { crashInAChange, storeUses, useStore } from "../tests/support/store.ts";
import { parseJson, writeJson } from "../topology/json.ts";
import { explain, findFolderProblem, storeReason } from "./file.ts";
import { findDamage, quarantineIfDamaged } from "./recovery.ts";
import { TopologyStore } from "./topology_store.ts";

const modeOf = (path: string) => (Deno.statSync(path).mode! & 0o777).toString(8);
const namesIn = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name).sort();

/** All that tells whether a file was written. */
function stateOf(path: string) {
  const { mtime, ino } = Deno.statSync(path);
  return { bytes: Deno.readFileSync(path), mtime: mtime?.getTime(), ino };
}

function putOne(path: string): void {
  using store = TopologyStore.open(path);
  store.put("A", "h1", "{}");
}

Deno.test("TopologyStore.open() creates file and folder for the owner alone, whatever the umask", () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/one/two/topology.db`;
  const umask = Deno.umask(0);
  try {
    putOne(path);
  } finally {
    Deno.umask(umask);
  }
  assert.equal(modeOf(path), "600");
  assert.equal(modeOf(`${folder.path}/one/two`), "700");
  assert.equal(modeOf(`${folder.path}/one`), "700");
  // A journal that stayed behind would belong to another way of writing.
  assert.deepEqual(namesIn(`${folder.path}/one/two`), ["topology.db"]);
});

Deno.test("TopologyStore.open() tightens a file that others can read, and not its folder", () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/topology.db`;
  putOne(path);
  Deno.chmodSync(path, 0o644);
  Deno.chmodSync(folder.path, 0o755);
  using reader = TopologyStore.open(path, { readOnly: true });
  assert.equal(modeOf(path), "644");
  using store = TopologyStore.open(path);
  assert.equal(modeOf(path), "600");
  assert.equal(modeOf(folder.path), "755");
  assert.equal(store.current()?.topologyId, reader.current()?.topologyId);
});

Deno.test("TopologyStore.open() for reading creates nothing", () => {
  using folder = new TemporaryFolder();
  for (const path of [`${folder.path}/topology.db`, `${folder.path}/absent/topology.db`]) {
    using store = TopologyStore.open(path, { readOnly: true });
    assert.equal(store.current(), null);
    store.clear("A");
    assert.throws(() => store.put("A", "h1", "{}"), /Cannot write the store/);
    assert.throws(() => store.recordError("A", "boom"), /Cannot write the store/);
  }
  assert.deepEqual(namesIn(folder.path), []);
});

Deno.test("TopologyStore opened for reading writes nothing", () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/topology.db`;
  putOne(path);
  Deno.utimeSync(path, 1_000, 1_000);
  const before = stateOf(path);
  {
    using store = TopologyStore.open(path, { readOnly: true });
    assert.equal(store.current()?.topologyId, "A");
    assert.throws(() => store.put("A", "h2", "{}"), /readonly/);
    assert.throws(() => store.recordError("A", "boom"), /readonly/);
    assert.throws(() => store.clear("A"), /readonly/);
  }
  assert.deepEqual(stateOf(path), before);
  assert.deepEqual(namesIn(folder.path), ["topology.db"]);
});

Deno.test("TopologyStore opened for writing writes nothing before something changes", () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/topology.db`;
  putOne(path);
  Deno.utimeSync(path, 1_000, 1_000);
  const before = stateOf(path);
  using store = TopologyStore.open(path);
  assert.equal(store.current()?.topologyId, "A");
  assert.throws(() => store.put("B", "h1", "{}"), { name: "AlreadyApplied" });
  assert.deepEqual(stateOf(path), before);
  store.put("A", "h2", "{}");
  assert.notDeepEqual(stateOf(path), before);
});

Deno.test("TopologyStore takes an empty file for an idle host", () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/topology.db`;
  Deno.createSync(path).close();
  using reader = TopologyStore.open(path, { readOnly: true });
  assert.equal(reader.current(), null);
  putOne(path);
  assert.equal(reader.current()?.topologyId, "A");
});

Deno.test("TopologyStore says what is wrong with a file that is no database, and leaves it", () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/topology.db`;
  putOne(path);
  const whole = Deno.readFileSync(path);
  const cases: [bytes: Uint8Array, message: RegExp][] = [
    [new TextEncoder().encode("no database at all\n".repeat(99)), /file is not a database/],
    [new Uint8Array(4096).fill(255), /file is not a database/],
    [whole.slice(0, 5_000), /malformed/],
    [whole.map((byte, index) => index < 100 ? byte : 255), /malformed/],
  ];
  for (const [bytes, message] of cases) {
    Deno.writeFileSync(path, bytes);
    for (const readOnly of [true, false]) {
      const attempt = (use: (store: TopologyStore) => void) => () => {
        using store = TopologyStore.open(path, { readOnly });
        use(store);
      };
      assert.throws(attempt((store) => store.current()), message);
      assert.throws(attempt((store) => store.put("A", "h1", "{}")), message);
      assert.throws(attempt((store) => store.recordError("A", "boom")), message);
      assert.throws(attempt((store) => store.clear("A")), message);
    }
    assert.deepEqual(Deno.readFileSync(path), bytes);
  }
});

Deno.test("TopologyStore.open() refuses a folder in place of the file, and a file in place of the folder", () => {
  using folder = new TemporaryFolder();
  Deno.writeTextFileSync(`${folder.path}/file`, "");
  Deno.mkdirSync(`${folder.path}/folder`);
  for (const readOnly of [true, false]) {
    for (const path of [`${folder.path}/folder`, `${folder.path}/file/topology.db`]) {
      assert.throws(() => {
        using store = TopologyStore.open(path, { readOnly });
        store.current();
      }, Error);
    }
  }
});

Deno.test("TopologyStore undoes what a crash left half-written, be it for reading or for writing", () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/topology.db`;
  putOne(path);
  for (const readOnly of [true, false]) {
    const copy = `${folder.path}/${readOnly}.db`;
    Deno.copyFileSync(path, copy);
    crashInAChange(copy);
    using store = TopologyStore.open(copy, { readOnly });
    assert.equal(store.current()?.versionHash, "h1");
    assert.equal(store.current()?.lastError, null);
    if (readOnly) assert.throws(() => store.put("A", "h2", "{}"), /readonly/);
    else store.put("A", "h2", "{}");
  }
  assert.deepEqual(namesIn(folder.path), ["false.db", "topology.db", "true.db"]);
});

Deno.test("TopologyStore.put() takes a file out of WAL mode, which a read-only folder would not allow", () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/topology.db`;
  putOne(path);
  const database = new DatabaseSync(path);
  database.exec("PRAGMA journal_mode = WAL");
  database.close();
  putOne(path);
  const after = new DatabaseSync(path);
  assert.equal(after.prepare("PRAGMA journal_mode").get()?.journal_mode, "delete");
  after.close();
});

Deno.test("explain() says what to do, and leaves out what the runtime adds for itself", () => {
  const cases: [said: string, explained: string][] = [
    [
      "Permission denied (os error 13): lstat '/state/topology.db'",
      "Permission denied; see that the agent's user owns the file and its folder (chown -R)",
    ],
    [
      "Read-only file system (os error 30): open '/it's (os error 1)/apply.lock'",
      "Read-only file system; remount it, so that the agent can write there",
    ],
    [
      "Not a directory (os error 20): lstat 'file/topology.db'",
      "Not a directory; see that state-dir names a folder",
    ],
    [
      "Too many open files (os error 24)",
      "Too many open files; let the agent open more (ulimit -n, LimitNOFILE=)",
    ],
    ["database or disk is full", "database or disk is full; free some space there"],
    ["no such table: x", "no such table: x"],
  ];
  for (const [said, explained] of cases) assert.equal(explain(new Error(said)), explained);
});

const own = Deno.uid() ?? 0;
const somebody = own + 4711;
const begin = "the store cannot be written: user ";
const advice = "make the file and its folder writable for the agent's user";

const rows: [what: string, mode: number, uid: number, problem: string | null][] = [
  [
    "a folder of somebody else",
    0o755,
    somebody,
    ` may not write to its folder, which is of user ${own}; `,
  ],
  ["a folder in which all may write", 0o757, somebody, null],
  ["a folder in which a group or an access control list may", 0o775, somebody, null],
  ["a folder for root", 0o555, 0, null],
];
// Root may write anywhere.
if (own !== 0) {
  rows.push(["an own folder that is read-only", 0o500, own, " may not write to its folder; "]);
}

for (const [what, mode, uid, problem] of rows) {
  Deno.test(`findFolderProblem() ${problem ? "tells of" : "is silent on"} ${what}`, () => {
    using folder = new TemporaryFolder();
    const state = `${folder.path}/state`;
    Deno.mkdirSync(state);
    Deno.chmodSync(state, mode);
    const expected = problem && `${begin}${uid}${problem}${advice}`;
    assert.equal(findFolderProblem(`${state}/topology.db`, uid)?.message ?? null, expected);
    Deno.chmodSync(state, 0o700);
  });
}

Deno.test("findFolderProblem() is silent where there is no folder", () => {
  using folder = new TemporaryFolder();
  assert.equal(findFolderProblem(`${folder.path}/state/topology.db`, somebody), null);
});

const pageBytes = 4096;
/** Of three pages, and with characters that a changed bit makes invalid. */
const document = JSON.stringify({ text: "decky, decoy, 😀; ".repeat(500) });
const sorted = writeJson(parseJson(document));

/** Runs a test on the bytes of a whole file, and a way to write others to a file of its own. */
function withBytes(test: (whole: Uint8Array, harm: (bytes: Uint8Array) => string) => void): void {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/topology.db`;
  {
    using store = TopologyStore.open(path);
    store.put("A", "whole", document);
    store.recordError("A", "boom");
  }
  const whole = Deno.readFileSync(path);
  assert.ok(whole.length >= 6 * pageBytes);
  let count = 0;
  test(whole, (bytes) => {
    const harmed = `${folder.path}/${count++}.db`;
    Deno.writeFileSync(harmed, bytes);
    return harmed;
  });
}

/** What is read: the whole row, none, another, or damage. Throws what is no damage. */
function read(path: string): "whole" | "idle" | "another" | "damage" {
  try {
    using store = TopologyStore.open(path, { readOnly: true });
    const row = store.current();
    if (!row) return "idle";
    const { topologyId, versionHash, lastError } = row;
    const isWhole = row.document === sorted &&
      `${topologyId} ${versionHash} ${lastError}` === "A whole boom";
    return isWhole ? "whole" : "another";
  } catch (error) {
    if (storeReason(error) === "damaged") return "damage";
    throw error;
  }
}

/** Reads, sets aside what is damaged, and puts; answers what was read, and whether it was kept. */
function survive(path: string): readonly [read: string, isKept: boolean] {
  const found = read(path);
  const isKept = quarantineIfDamaged(path) === null;
  if (found === "damage") assert.ok(!isKept, "what is damaged was kept");
  using store = TopologyStore.open(path);
  store.clear(store.current()?.topologyId ?? "");
  store.prepare();
  store.put("A", "new", document);
  assert.equal(store.current()?.versionHash, "new");
  return [found, isKept];
}

Deno.test("S2 TopologyStore finds damage in a file cut at any of 50 points", () => {
  withBytes((whole, harm) => {
    for (let point = 0; point < 50; point++) {
      const length = Math.floor(point * whole.length / 50);
      const expected = length === 0 ? ["idle", true] : ["damage", false];
      assert.deepEqual(survive(harm(whole.slice(0, length))), expected, `${length} bytes`);
    }
    // One byte is enough, also where what is left is a database.
    for (
      const length of [2, pageBytes, pageBytes + 1, whole.length - pageBytes, whole.length - 1]
    ) {
      assert.deepEqual(survive(harm(whole.slice(0, length))), ["damage", false], `${length} bytes`);
    }
  });
});

Deno.test("S3 TopologyStore survives each page as zeros, ones or noise", () => {
  withBytes((whole, harm) => {
    const random = randomNumbers(4);
    const counts = new Map<string, number>();
    for (let page = 0; page < whole.length / pageBytes; page++) {
      for (const next of [() => 0, () => 255, () => Math.floor(random() * 256)]) {
        const bytes = whole.slice();
        for (let at = page * pageBytes; at < (page + 1) * pageBytes; at++) bytes[at] = next();
        const [found, isKept] = survive(harm(bytes));
        const what = `${found}, ${isKept ? "kept" : "set aside"}`;
        counts.set(what, (counts.get(what) ?? 0) + 1);
      }
    }
    assert.ok((counts.get("damage, set aside") ?? 0) >= 10, JSON.stringify([...counts]));
  });
});

Deno.test("S3 TopologyStore survives a bit flipped at 200 places and in the header", () => {
  withBytes((whole, harm) => {
    const random = randomNumbers(5);
    const places = [
      ...Array.from({ length: 100 }, (_, index) => index),
      ...Array.from({ length: 200 }, () => Math.floor(random() * whole.length)),
    ];
    for (const place of places) {
      const bytes = whole.slice();
      bytes[place]! ^= 1 << Math.floor(random() * 8);
      // A bit here makes it a format that may be read and not written (surroundings).
      if (place === 18) bytes[place] = 0;
      survive(harm(bytes));
    }
  });
});

const table = (columns: string) => `CREATE TABLE applied_topology (${columns});`;
const columns = `topology_id TEXT PRIMARY KEY, applied_version_hash TEXT NOT NULL,
  hydrated_blob_json TEXT NOT NULL, applied_at INTEGER NOT NULL, last_error TEXT`;
const insert = (...values: string[]) => `INSERT INTO applied_topology VALUES (${values});`;
const row = insert("'A'", "'h'", "'{}'", "1", "NULL");

const all = (message: string) => ({ put: message, recordError: message, clear: message });
const works = all("done");
const noKey = "ON CONFLICT clause does not match any PRIMARY KEY or UNIQUE constraint";

/** What another program, an older or a newer agent may have made of the file. */
const schemas: [what: string, sql: string, expected: object, fate: string][] = [
  ["another table only", "CREATE TABLE a (b)", { current: "idle", ...works }, "kept"],
  ["its table in other letters", table(columns).replace("applied_t", "aPplied_t") + row, {
    current: "h",
    ...works,
  }, "kept"],
  ["S4 two rows", table(columns) + insert("'B'", "'g'", "'{}'", "0", "NULL") + row, {
    current: "h",
    ...works,
  }, "kept"],
  [
    "S6 an extra column",
    table(`${columns}, extra TEXT DEFAULT 'x'`) + insert(
      "'A'",
      "'h'",
      "'{}'",
      "1",
      "NULL",
      "2",
    ),
    { current: "h", ...works },
    "kept",
  ],
  ["S6 an extra table", `${table(columns)} CREATE TABLE more (a); ${row}`, {
    current: "h",
    ...works,
  }, "kept"],
  ["S6 a later user_version", `${table(columns)} PRAGMA user_version = 99; ${row}`, {
    current: "h",
    ...works,
  }, "kept"],
  ["no key", table(columns.replace("PRIMARY KEY", "")) + row, {
    current: "h",
    ...works,
    put: noKey,
  }, "kept"],
  ["S5 a missing column", table("topology_id TEXT PRIMARY KEY, applied_at INTEGER"), {
    current: "no such column: applied_version_hash",
    put: "table applied_topology has no column named applied_version_hash",
    recordError: "no such column: last_error",
    clear: "done",
  }, "set aside"],
  ["S5 a BLOB for a text", table(columns) + insert("'A'", "'h'", "x'7b7d'", "1", "NULL"), {
    current: "column hydrated_blob_json holds no text, or too much of it",
    ...works,
  }, "set aside"],
  ["S5 a text for a time", table(columns) + insert("'A'", "'h'", "'{}'", "'soon'", "NULL"), {
    current: "column applied_at holds no whole number",
    ...works,
  }, "set aside"],
  [
    "a view",
    `${table(columns).replace("applied_topology", "other")}
    CREATE VIEW applied_topology AS SELECT * FROM other`,
    { current: "idle" },
    "kept",
  ],
];

for (const [what, sql, expected, fate] of schemas) {
  Deno.test(`${what}: TopologyStore uses or rejects the file`, async () => {
    using folder = new TemporaryFolder();
    const make = (path: string) => {
      const database = new DatabaseSync(path);
      database.exec(sql);
      database.close();
      return path;
    };
    const use = await useStore(make(`${folder.path}/used.db`));
    assert.deepEqual({ ...use, ...expected }, use);
    const path = make(`${folder.path}/topology.db`);
    assert.equal(await storeUses.quarantine(path), fate);
    if (fate === "kept") Deno.removeSync(path);
    assert.deepEqual(await useStore(path), { current: "idle", ...works, quarantine: "kept" });
  });
}

Deno.test("findDamage() says what SQLite says of all that is damaged", () => {
  withBytes((whole, harm) => {
    assert.equal(findDamage(harm(whole), 0), null);
    const bytes = whole.slice();
    bytes.fill(0, pageBytes, 2 * pageBytes);
    assert.match(String(findDamage(harm(bytes), 0)), /malformed|page/i);
    assert.equal(findDamage(harm(whole.slice(0, -1)), 0), "the file was cut short");
  });
});
