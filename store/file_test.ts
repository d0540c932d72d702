import { DatabaseSync } from "node:sqlite";
import assert from "node:assert/strict";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { SeededRandom } from "../tests/support/random.ts";
import {
  crashInAChange,
  execSql,
  StorePlace,
  storeUses,
  useStore,
} from "../tests/support/store.ts";
import { parseJson, writeJson } from "../topology/json.ts";
import {
  CorruptStoreError,
  explain,
  findFolderProblem,
  openForReading,
  storeReason,
} from "./file.ts";
import { findDamage, quarantineIfDamaged } from "./recovery.ts";
import { readRow, TopologyStore } from "./topology_store.ts";

const modeOf = (path: string) => (Deno.statSync(path).mode! & 0o777).toString(8);

/** Everything that shows whether a file was written. */
function stateOf(path: string) {
  const { mtime, ino } = Deno.statSync(path);
  return { bytes: Deno.readFileSync(path), mtime: mtime?.getTime(), ino };
}

/** Runs a test with a store whose file was last changed long ago. */
function oldStoreTest(title: string, test: (place: StorePlace) => void): void {
  Deno.test(title, () => {
    using place = new StorePlace();
    place.put();
    Deno.utimeSync(place.path, 1_000, 1_000);
    test(place);
  });
}

Deno.test("TopologyStore.open() creates file and folder for the owner alone", () => {
  using place = new StorePlace();
  const path = `${place.folder}/one/two/topology.db`;
  const umask = Deno.umask(0);
  try {
    place.put("h1", path);
  } finally {
    Deno.umask(umask);
  }
  assert.equal(modeOf(path), "600");
  assert.equal(modeOf(`${place.folder}/one/two`), "700");
  assert.equal(modeOf(`${place.folder}/one`), "700");
  // A journal left behind would show another way of writing.
  assert.deepEqual([...Deno.readDirSync(`${place.folder}/one/two`)].length, 1);
});

oldStoreTest("TopologyStore.open() removes permissions of others from the file only", (place) => {
  const { path, folder } = place;
  Deno.chmodSync(path, 0o644);
  Deno.chmodSync(folder, 0o755);
  assert.equal(readRow(path)?.topologyId, "A");
  assert.equal(modeOf(path), "644");
  using store = place.open();
  assert.equal(modeOf(path), "600");
  assert.equal(modeOf(folder), "755");
  assert.equal(store.current()?.topologyId, "A");
});

Deno.test("readRow() creates nothing", () => {
  using place = new StorePlace();
  for (const path of [place.path, `${place.folder}/absent/topology.db`]) {
    assert.equal(readRow(path), null);
  }
  assert.deepEqual(place.names(), []);
});

oldStoreTest("openForReading() lets nothing be written, even after a crash", (place) => {
  const before = stateOf(place.path);
  const tryToWrite = () => {
    const database = openForReading(place.path, DatabaseSync)!;
    assert.throws(() => database.exec("DELETE FROM applied_topology"), /readonly/);
    database.close();
    assert.equal(readRow(place.path)?.topologyId, "A");
  };
  tryToWrite();
  assert.deepEqual(stateOf(place.path), before);
  crashInAChange(place.path);
  tryToWrite();
  assert.deepEqual(place.names(), ["topology.db"]);
});

oldStoreTest("TopologyStore opened for writing writes nothing until a change", (place) => {
  const before = stateOf(place.path);
  using store = place.open();
  assert.equal(store.current()?.topologyId, "A");
  assert.throws(() => store.put("B", "h1", "{}"), { name: "AlreadyApplied" });
  assert.deepEqual(stateOf(place.path), before);
  store.put("A", "h2", "{}");
  assert.notDeepEqual(stateOf(place.path), before);
});

Deno.test("TopologyStore undoes what a crash left, for reading and for writing", () => {
  const readStore = (path: string) => {
    using store = TopologyStore.open(path);
    return store.current();
  };
  for (const read of [readRow, readStore]) {
    using place = new StorePlace();
    place.put();
    crashInAChange(place.path);
    const { versionHash, lastError } = read(place.path)!;
    assert.deepEqual([versionHash, lastError], ["h1", null]);
    assert.deepEqual(place.names(), ["topology.db"]);
  }
});

Deno.test("storeReason() and explain() classify what SQLite and the system say", () => {
  const cases: [message: string, reason: string, advice: string][] = [
    ["Permission denied", "no-access", "; see that the agent's user owns the file and its folder"],
    ["Read-only file system", "read-only-mount", "; remount it, so that the agent can write there"],
    ["Not a directory", "not-a-folder", "; see that state-dir names a folder"],
    ["Too many open files", "too-many-open-files", "; let the agent open more (ulimit -n, Limit"],
    ["database or disk is full", "full", "; free some space there"],
    ["database is locked", "locked", ""],
    ["no such column: last_error", "damaged", ""],
    ["no such table: x", "other", ""],
  ];
  for (const [message, reason, advice] of cases) {
    for (
      const end of ["", " (os error 30)", " (os error 30): open '/it's (os error 1)/apply.lock'"]
    ) {
      const error = new Error(message + end);
      assert.equal(storeReason(error), reason);
      const explained = explain(error);
      assert.ok(explained.startsWith(message + advice) && !explained.includes("os err"), explained);
    }
  }
  assert.equal(storeReason(new CorruptStoreError("database is locked")), "damaged");
  const forbidden = new Deno.errors.NotCapable("Requires all access, run again with --allow-all");
  assert.equal(storeReason(forbidden), "forbidden-path");
  const text =
    "the agent may not use files in /dev, /proc and /sys; set state-dir to another folder";
  assert.equal(explain(forbidden), text);
  assert.equal(storeReason(Object.assign(new Error("readonly"), { errcode: 776 })), "half-written");
});

Deno.test("findFolderProblem() finds a folder without write permission", () => {
  const own = Deno.uid() ?? 0;
  const other = own + 4711;
  const cases: [mode: number, uid: number, problem: string | null][] = [
    [0o755, other, ` may not write to its folder, which is of user ${own}; `],
    [0o757, other, null],
    // A group, or an access control list, may write.
    [0o775, other, null],
    [0o555, 0, null],
  ];
  // Root may write anywhere.
  if (own !== 0) cases.push([0o500, own, " may not write to its folder; "]);
  for (const [mode, uid, problem] of cases) {
    using place = new StorePlace();
    Deno.chmodSync(place.folder, mode);
    const advice = "make the file and its folder writable for the agent's user";
    const message = problem && `the store cannot be written: user ${uid}${problem}${advice}`;
    const found = findFolderProblem(place.path, uid);
    Deno.chmodSync(place.folder, 0o700);
    assert.equal(found, message);
    assert.equal(findFolderProblem(`${place.folder}/absent/topology.db`, uid), null);
  }
});

const pageBytes = 4096;
/** It takes three pages, and has characters that a changed bit makes invalid. */
const document = JSON.stringify({ text: "decky, decoy, 😀; ".repeat(500) });
const sorted = writeJson(parseJson(document));

/** Runs a test with the bytes of a store, and a function that writes others to a new file. */
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
    const row = readRow(path);
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
    const lengths = [2, pageBytes, pageBytes + 1, whole.length - pageBytes, whole.length - 1];
    for (const length of lengths) {
      assert.deepEqual(survive(harm(whole.slice(0, length))), ["damage", false], `${length} bytes`);
    }
  });
});

Deno.test("S3 TopologyStore survives each page as zeros, ones or noise", () => {
  withBytes((whole, harm) => {
    const random = new SeededRandom(4);
    const counts = new Map<string, number>();
    for (let page = 0; page < whole.length / pageBytes; page++) {
      for (const next of [() => 0, () => 255, () => random.below(256)]) {
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

Deno.test("S3 TopologyStore survives a bit flipped anywhere, 200 times", () => {
  withBytes((whole, harm) => {
    const random = new SeededRandom(5);
    const places = [
      ...Array.from({ length: 100 }, (_, index) => index),
      ...Array.from({ length: 200 }, () => random.below(whole.length)),
    ];
    for (const place of places) {
      const bytes = whole.slice();
      bytes[place]! ^= 1 << random.below(8);
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

const notKept = "the file does not keep what is written to it";
const readable = { current: "h", ...works };
/** Files that another program, an older or a newer agent may have made; damaged ones are set aside. */
const schemas: [what: string, sql: string, expected: object, isDamaged?: "damaged"][] = [
  ["another table only", "CREATE TABLE a (b)", { current: "idle", ...works }],
  ["its table in other letters", table(columns).replace("applied_t", "aPplied_t") + row, readable],
  ["S4 two rows", table(columns) + insert("'B'", "'g'", "'{}'", "0", "NULL") + row, readable],
  [
    "S6 an extra column",
    table(`${columns}, extra TEXT`) + insert("'A'", "'h'", "'{}'", "1", "NULL", "2"),
    readable,
  ],
  [
    "columns in another order",
    table(columns.split(", ").toReversed().join(", ")) +
    row.replace(
      " VALUES",
      ` (topology_id, applied_version_hash, hydrated_blob_json, applied_at,
      last_error) VALUES`,
    ),
    readable,
  ],
  ["S6 an extra table", `${table(columns)} CREATE TABLE more (a); ${row}`, readable],
  ["S6 a later user_version", `${table(columns)} PRAGMA user_version = 99; ${row}`, readable],
  ["no key", table(columns.replace("PRIMARY KEY", "")) + row, { ...readable, put: noKey }],
  ["S5 a missing column", table("topology_id TEXT PRIMARY KEY, applied_at INTEGER"), {
    current: "no such column: applied_version_hash",
    put: "table applied_topology has no column named applied_version_hash",
    recordError: "no such column: last_error",
    clear: "done",
  }, "damaged"],
  ["S5 a BLOB for a text", table(columns) + insert("'A'", "'h'", "x'7b7d'", "1", "NULL"), {
    current: "column hydrated_blob_json holds no text, or too much of it",
    ...works,
  }, "damaged"],
  [
    "a trigger that removes rows",
    `${table(columns)} CREATE TRIGGER hostile AFTER INSERT ON applied_topology
      BEGIN DELETE FROM applied_topology; END;`,
    { ...all(notKept), current: "idle", clear: "done" },
  ],
  [
    "a view",
    `CREATE TABLE other (${columns}); CREATE VIEW applied_topology AS SELECT * FROM other`,
    { current: "idle" },
  ],
];

for (const [what, sql, expected, isDamaged] of schemas) {
  Deno.test(`${what}: TopologyStore uses or rejects the file`, async () => {
    using folder = new TemporaryFolder();
    const make = (path: string) => {
      execSql(path, sql);
      return path;
    };
    const use = await useStore(make(`${folder.path}/used.db`));
    assert.deepEqual({ ...use, ...expected }, use);
    const path = make(`${folder.path}/topology.db`);
    assert.equal(await storeUses.quarantine(path), isDamaged ? "set aside" : "kept");
    if (!isDamaged) Deno.removeSync(path);
    assert.deepEqual(await useStore(path), { current: "idle", ...works, quarantine: "kept" });
  });
}

Deno.test("findDamage() says what SQLite says of all that is damaged", () => {
  withBytes((whole, harm) => {
    assert.equal(findDamage(harm(whole)), null);
    const bytes = whole.slice();
    bytes.fill(0, pageBytes, 2 * pageBytes);
    assert.match(String(findDamage(harm(bytes))), /malformed|page/i);
    assert.equal(findDamage(harm(whole.slice(0, -1))), "the file was cut short");
  });
});
