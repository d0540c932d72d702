import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { runSql } from "../tests/sample_store.ts";
import { TemporaryFolder } from "../tests/temporary_folder.ts";
import { openLastingStore, openStore, StoreMemory, TopologyStore } from "./mod.ts";

/** What changes a row. */
const events = ["INSERT", "UPDATE", "DELETE"];
const problem = "the store cannot be written: database or disk is full; free some space there; " +
  "what is applied is kept in memory only";

/** A store that holds A, its disk, and the memory of a process that uses it. */
class Disk implements Disposable {
  readonly #folder = new TemporaryFolder();
  readonly path = `${this.#folder.path}/topology.db`;
  readonly memory = new StoreMemory();

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
  use<T>(work: (store: Store) => T): T {
    const store = openLastingStore(this.path, this.memory);
    try {
      return work(store);
    } finally {
      store.close();
    }
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
    this.memory.forget();
    this.#folder[Symbol.dispose]();
  }
}

type Store = ReturnType<typeof openLastingStore>;

const changes: [what: string, change: (store: Store) => void, counts: string][] = [
  ["put", (store) => store.put("A", "h2", "{}"), "A h2 null"],
  ["recordError", (store) => store.recordError("A", "boom"), "A h1 boom"],
  ["clear", (store) => store.clear("A"), "idle"],
];

for (const [what, change, counts] of changes) {
  Deno.test(`openLastingStore().${what}() keeps in memory what cannot be written, until it can`, () => {
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

Deno.test("openLastingStore() goes on in memory from change to change, by the store's rules", () => {
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

Deno.test("openLastingStore() lets count what another process has written since", () => {
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

Deno.test("openLastingStore() keeps nothing that the store's rules, or the value, rule out", () => {
  using disk = new Disk();
  const throwing: [(store: Store) => void, object][] = [
    [(store) => store.put("B", "h2", "{}"), { name: "AlreadyApplied" }],
    [(store) => store.recordError("B", "boom"), { name: "AlreadyApplied" }],
    [(store) => store.put("A", "h".repeat(1001), "{}"), RangeError],
    [(store) => store.put("A", "h2", "{"), SyntaxError],
  ];
  for (const [change, error] of throwing) assert.throws(() => disk.use(change), error);
  assert.equal(disk.memory.problem, null);
  assert.deepEqual(disk.rows, ["A h1 null", "A h1 null"]);
});

Deno.test("openLastingStore() keeps nothing while another process holds the file, and throws", () => {
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
