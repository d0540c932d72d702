import { DatabaseSync } from "node:sqlite";
import { mutateBytes } from "./byte_mutations.ts";
import type { Chance } from "./chance.ts";

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
const pragmas = [
  "",
  "",
  "",
  "PRAGMA encoding = 'UTF-16';",
  "PRAGMA page_size = 512;",
  "PRAGMA page_size = 65536;",
  "PRAGMA auto_vacuum = FULL;",
  "PRAGMA journal_mode = WAL;",
  "PRAGMA user_version = 99; PRAGMA application_id = 1;",
];
const headerFields = [16, 18, 19, 20, 24, 28, 32, 36, 40, 44, 47, 52, 56, 59, 63, 92, 99, 100, 108];

/** The bytes of a file for each way to make one. */
export function makeStores(folder: string): Uint8Array<ArrayBuffer>[] {
  return schemas.flatMap((schema) =>
    pragmas.slice(2).map((pragma) => {
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

/** A file that is damaged, or made by somebody else. */
export function storeBytes(
  stores: readonly Uint8Array<ArrayBuffer>[],
  chance: Chance,
): Uint8Array<ArrayBuffer> {
  const store = chance.pick(stores).slice();
  const page = 512;
  return chance.any(
    () => store,
    () => mutateBytes(store, chance, { faults: 1 + chance.few(8) }),
    () => flipped(store, chance),
    () => flipped(store, chance),
    () => store.slice(0, chance.below(store.length + 1)),
    () => store.slice(0, page * chance.below(store.length / page + 1)),
    () => {
      const [from, to] = [chance.below(store.length / page), chance.below(store.length / page)];
      store.copyWithin(to * page, from * page, from * page + page);
      return store;
    },
    () => store.fill(chance.pick([0, 0xff]), chance.below(store.length + 1), chance.below(9_999)),
    () => {
      if (store.length > 100) store[chance.pick(headerFields)] = chance.below(256);
      return store;
    },
    () => chance.bytes(chance.few(5_000)),
    () => new TextEncoder().encode("SQLite format 3\0" + "x".repeat(chance.few(5_000))),
  );
}

function flipped(store: Uint8Array<ArrayBuffer>, chance: Chance): Uint8Array<ArrayBuffer> {
  if (store.length === 0) return store;
  for (let count = 0; count < 1 + chance.few(40); count++) {
    // What counts most stands at the beginning and at the end of a page.
    const at = chance.isOneIn(2)
      ? chance.below(Math.min(store.length, 300))
      : chance.below(store.length);
    store[at]! ^= 1 << chance.below(8);
  }
  return store;
}
