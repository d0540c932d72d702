import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { storeReason } from "../../store/file.ts";
import { FallbackStore } from "../../store/recovery.ts";
import type { AppliedTopology } from "../../store/row.ts";
import { StoreReader } from "../../store/store_reader.ts";
import { AlreadyApplied, TopologyStore } from "../../store/topology_store.ts";
import { checkError } from "./oracles.ts";
import type { SeededRandom } from "../support/random.ts";
import { mutateBytes } from "./hostile.ts";
import type { Target } from "./target.ts";

const document = '{"deckies":[],"lans":[],"topology":{"id":"A"}}';
const columns = `topology_id TEXT PRIMARY KEY, applied_version_hash TEXT NOT NULL,
  hydrated_blob_json TEXT NOT NULL, applied_at INTEGER NOT NULL, last_error TEXT`;
const loose = "topology_id, applied_version_hash, hydrated_blob_json, applied_at, last_error";
const row = (values: string) => `INSERT INTO applied_topology (${loose}) VALUES (${values});`;
const good = row(`'A', 'h', '${document}', 1, NULL`);
const oneRow = "CREATE UNIQUE INDEX applied_topology_one_row ON applied_topology ((1));";

const typed = `CREATE TABLE applied_topology (${columns});`;
const untyped = `CREATE TABLE applied_topology (${loose});`;
/** Statements that make a file: ours, the first agent's, and others. */
const schemas = [
  "",
  typed,
  typed + good,
  typed + good + oneRow,
  typed + good + row(`'B', 'h', '{}', 2, 'x'`),
  typed + row(`'A', '', '{}', 0, 'failed'`) + oneRow,
  typed + row(`'A', 'h', '${" ".repeat(20_000)}{}', 1, NULL`),
  untyped + good,
  untyped + row("NULL, NULL, NULL, NULL, NULL"),
  untyped + row("1, 2.5, x'00ff', 'soon', 3"),
  untyped + row("x'41', 'h', '{}', 9e300, x'ff'"),
  untyped + row("'A', 'h', '{}', 9223372036854775807, NULL"),
  untyped + row("'A', 'h', '{}', -1, ''"),
  untyped + row("'', '', '', 0, ''"),
  untyped + row("printf('%2000s', 'A'), 'h', '{}', 1, printf('%9999s', 'x')"),
  untyped + row("'A', 'h', zeroblob(100000), 1, NULL"),
  untyped + row("'A' || char(0) || 'B', 'h', '{', 1, char(10, 27, 0xd800)"),
  untyped + good.repeat(200),
  "CREATE TABLE applied_topology (x); INSERT INTO applied_topology VALUES (1);",
  "CREATE TABLE other (x); INSERT INTO other VALUES (1);",
  `CREATE TABLE t (${loose}); CREATE VIEW applied_topology AS SELECT * FROM t;`,
  `CREATE TABLE applied_topology (${columns}) WITHOUT ROWID;${good}`,
  `CREATE TABLE applied_topology (${columns}, more TEXT NOT NULL DEFAULT 'x');${good}`,
  `CREATE TABLE applied_topology (${columns}, more TEXT NOT NULL CHECK (more > 9) DEFAULT 1);`,
  `CREATE TABLE applied_topology (${columns}) STRICT;${good}`,
  `${typed}${good}CREATE TRIGGER t BEFORE INSERT ON applied_topology
    BEGIN SELECT RAISE(FAIL, 'no'); END;`,
  `${typed}CREATE INDEX i ON applied_topology (applied_at DESC, topology_id);${good}`,
];
const settings = "encoding = 'UTF-16'|page_size = 512|page_size = 65536|auto_vacuum = FULL|"
  .concat("journal_mode = WAL|user_version = 99").split("|");
const pragmas = ["", ...settings.map((setting) => `PRAGMA ${setting};`)];
const headerFields = [16, 18, 19, 20, 24, 28, 32, 36, 40, 44, 47, 52, 56, 59, 63, 92, 99, 100, 108];

/** The bytes of a file for each way to make one. */
function makeStores(folder: string): Uint8Array<ArrayBuffer>[] {
  return schemas.flatMap((schema) =>
    pragmas.map((pragma) => {
      const path = `${folder}/made.db`;
      const database = new DatabaseSync(path);
      database.exec(pragma + schema);
      database.close();
      const bytes = Deno.readFileSync(path);
      Deno.removeSync(path);
      return bytes;
    })
  );
}

/** A file that is damaged, or made by another program. */
function storeBytes(
  stores: readonly Uint8Array<ArrayBuffer>[],
  random: SeededRandom,
): Uint8Array<ArrayBuffer> {
  const store = random.pick(stores).slice();
  const pageSize = 512;
  const page = () => random.below(store.length / pageSize + 1) * pageSize;
  const [from, to] = [page(), page()];
  const headerField = random.pick(headerFields);
  return random.any(
    () => store,
    () => mutateBytes(store, random, { faults: 1 + random.few(8) }),
    () => flipBits(store, random),
    () => flipBits(store, random),
    () => store.slice(0, random.below(store.length + 1)),
    () => store.slice(0, to),
    () => store.copyWithin(to, from, from + pageSize),
    () => store.fill(random.pick([0, 0xff]), random.below(store.length + 1), random.below(9_999)),
    () => store.map((byte, at) => at === headerField ? random.below(256) : byte),
    () => random.bytes(random.few(5_000)),
    () => new TextEncoder().encode("SQLite format 3\0" + "x".repeat(random.few(5_000))),
  );
}

function flipBits(store: Uint8Array<ArrayBuffer>, random: SeededRandom): Uint8Array<ArrayBuffer> {
  for (let count = 0; count < 1 + random.few(40); count++) {
    // What counts most is at the beginning and at the end of a page.
    const end = random.isOneIn(2) ? Math.min(store.length, 300) : store.length;
    store[random.below(end)]! ^= 1 << random.below(8);
  }
  return store;
}

const never = new AbortController().signal;
/** A type that does not fit, and what SQLite says; nothing else may be thrown. */
const expected = ["Error", "TypeError", "AlreadyApplied", "CorruptStoreError"];
const neighbours = ["-journal", "-wal", "-shm"];

/** Opens the target: files in the place of the store. */
export function open(folder: string): Target {
  const stores = makeStores(folder);
  let cases = 0;
  return {
    run: async (random) => {
      // Each has its own folder, so that files beside the store are removed with it.
      const place = `${folder}/${cases++}`;
      Deno.mkdirSync(place);
      try {
        const path = `${place}/topology.db`;
        Deno.writeFileSync(path, storeBytes(stores, random));
        if (random.isOneIn(8)) {
          Deno.writeFileSync(path + random.pick(neighbours), storeBytes(stores, random));
        }
        const whole = Deno.readFileSync(path);
        const outcomes = [await read(path), write(path, random)];
        Deno.writeFileSync(path, whole);
        return [...outcomes, keep(path)].join("; ");
      } finally {
        Deno.removeSync(place, { recursive: true });
      }
    },
  };
}

async function read(path: string): Promise<string> {
  const reader = new StoreReader(path);
  try {
    const first = await reader.current(never);
    checkRow(first);
    assert.deepEqual(await reader.current(never), first);
    return first ? "a row" : "no row";
  } catch (error) {
    checkFailure(error);
    return "unreadable";
  } finally {
    reader.close();
  }
}

/** Checks that what a store has kept is what is read from the file. */
function write(path: string, random: SeededRandom): string {
  let store: TopologyStore | undefined;
  const id = random.pick(["A", "B"]);
  try {
    store = TopologyStore.open(path, { busyTimeoutMs: 0, now: () => 5_000 });
    store.prepare();
    const before = store.current();
    checkRow(before);
    if (random.isOneIn(2)) store.recordError(id, "boom", '{"x":1.0}');
    store.put(id, "h2", '{"x":1.0}');
    const row = store.current();
    checkRow(row);
    store.clear(id);
    checkRow(store.current());
    const isKept = row?.topologyId === id && row.versionHash === "h2" && row.lastError === null;
    return isKept ? "written" : "not kept";
  } catch (error) {
    checkFailure(error);
    return "not writable";
  } finally {
    store?.close();
  }
}

/** Checks that a topology is kept after any file: in that, in a new one, or in memory. */
function keep(path: string): string {
  const store = new FallbackStore(path);
  try {
    store.recover();
    const before = store.current();
    checkRow(before);
    const id = before?.topologyId ?? "A";
    store.put(id, "h3", '{"x":1.0}');
    assert.equal(store.current()?.versionHash, "h3", "what was put is not there");
    store.clear(id);
    return before ? "kept, over a row" : "kept";
  } catch (error) {
    if (error instanceof AlreadyApplied) return "another is there";
    if (storeReason(error) === "locked") return "locked";
    throw error;
  }
}

function checkRow(row: AppliedTopology | null): void {
  if (row === null) return;
  assert.ok(new TextEncoder().encode(row.topologyId).length <= 1_003, "the id is too long");
  assert.equal(typeof row.versionHash, "string");
  assert.ok(Number.isSafeInteger(row.appliedAt));
  assert.equal(typeof row.document, "string");
  if (row.lastError !== null) assert.ok(row.lastError.length <= 1_000);
}

function checkFailure(error: unknown): void {
  // What node:sqlite says of a number past 2 to the 53rd.
  if (error instanceof RangeError && /too large to be represented/.test(error.message)) return;
  checkError(error, expected);
  if (error.name === "TypeError") assert.match(error.message, /^column /);
  if (error instanceof assert.AssertionError) throw error;
}
