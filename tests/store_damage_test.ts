import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { findDamage } from "../store/damage.ts";
import { isDamage, setAsideIfDamaged, TopologyStore } from "../store/mod.ts";
import { parseJson, writeJson } from "../topology/mod.ts";
import { randomNumbers } from "./answer_streams.ts";
import { storeUses, useStore } from "./store_use.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

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
    if (isDamage(error)) return "damage";
    throw error;
  }
}

/** Reads, sets aside what is damaged, and puts; answers what was read, and whether it was kept. */
function survive(path: string): readonly [read: string, isKept: boolean] {
  const found = read(path);
  const isKept = setAsideIfDamaged(path) === null;
  if (found === "damage") assert.ok(!isKept, "what is damaged was kept");
  using store = TopologyStore.open(path);
  store.clear(store.current()?.topologyId ?? "");
  store.prepare();
  store.put("A", "new", document);
  assert.equal(store.current()?.versionHash, "new");
  return [found, isKept];
}

Deno.test("TopologyStore takes a file truncated at any of 50 points for damaged, but an empty one", () => {
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

Deno.test("TopologyStore survives every page of its file, be it zeros, ones or noise", () => {
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

Deno.test("TopologyStore survives a bit flipped at any of 200 places, and in each byte of the header", () => {
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
  ["two rows", table(columns) + insert("'B'", "'g'", "'{}'", "0", "NULL") + row, {
    current: "h",
    ...works,
  }, "kept"],
  [
    "an extra column",
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
  ["an extra table", `${table(columns)} CREATE TABLE more (a); ${row}`, {
    current: "h",
    ...works,
  }, "kept"],
  ["a later user_version", `${table(columns)} PRAGMA user_version = 99; ${row}`, {
    current: "h",
    ...works,
  }, "kept"],
  ["no key", table(columns.replace("PRIMARY KEY", "")) + row, {
    current: "h",
    ...works,
    put: noKey,
  }, "kept"],
  ["a missing column", table("topology_id TEXT PRIMARY KEY, applied_at INTEGER"), {
    current: "no such column: applied_version_hash",
    put: "table applied_topology has no column named applied_version_hash",
    recordError: "no such column: last_error",
    clear: "done",
  }, "set aside"],
  ["a BLOB for a text", table(columns) + insert("'A'", "'h'", "x'7b7d'", "1", "NULL"), {
    current: "column hydrated_blob_json holds no text, or too much of it",
    ...works,
  }, "set aside"],
  ["a text for a time", table(columns) + insert("'A'", "'h'", "'{}'", "'soon'", "NULL"), {
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
  Deno.test(`TopologyStore finds a file with ${what}`, async () => {
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
    assert.equal(await storeUses.setAside(path), fate);
    if (fate === "kept") Deno.removeSync(path);
    assert.deepEqual(await useStore(path), { current: "idle", ...works, setAside: "kept" });
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
