import assert from "node:assert/strict";
import { TopologyStore } from "../store/mod.ts";
import { python, runPython } from "./python.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

/** Opens the file as the first agent does, runs each argument as SQL and prints the rows. */
const program = `
import json, sqlite3, sys
path, *statements = sys.argv[1:]
connection = sqlite3.connect(path)
connection.execute("""CREATE TABLE IF NOT EXISTS applied_topology (
    topology_id TEXT PRIMARY KEY, applied_version_hash TEXT NOT NULL,
    hydrated_blob_json TEXT NOT NULL, applied_at INTEGER NOT NULL, last_error TEXT)""")
problem = None
try:
    for statement in statements:
        connection.execute(statement)
    connection.commit()
except sqlite3.Error as error:
    problem = str(error)
    connection.rollback()
rows = connection.execute("SELECT * FROM applied_topology ORDER BY applied_at").fetchall()
print(json.dumps([problem, rows]))
`;

const upsert = (id: string, hash: string, at: number, error = "NULL") =>
  `INSERT INTO applied_topology VALUES ('${id}', '${hash}', '{"a": [1.0, 1e2], "b": "é"}', ${at}, ${error})
   ON CONFLICT(topology_id) DO UPDATE SET applied_version_hash = excluded.applied_version_hash,
     hydrated_blob_json = excluded.hydrated_blob_json, applied_at = excluded.applied_at, last_error = NULL`;

function pythonTest(name: string, test: (path: string) => Promise<void>): void {
  Deno.test({
    name: name + python.suffix,
    ignore: python.ignore,
    async fn() {
      python.check();
      using folder = new TemporaryFolder();
      await test(`${folder.path}/topology.db`);
    },
  });
}

async function runSql(
  path: string,
  ...statements: string[]
): Promise<[string | null, unknown[][]]> {
  return JSON.parse(await runPython(program, path, ...statements));
}

pythonTest(
  "a store made by python3's sqlite3 opens as it is, and python3 opens ours",
  async (path) => {
    await runSql(path, upsert("A", "h1", 5));
    Deno.chmodSync(path, 0o600);
    const document = '{"a": [1.0, 1e2], "b": "é"}';
    using store = TopologyStore.open(path, { now: () => 7_000 });
    assert.deepEqual(store.current(), {
      topologyId: "A",
      versionHash: "h1",
      document,
      appliedAt: 5,
      lastError: null,
      hasOlderRows: false,
    });
    assert.throws(() => store.put("B", "h2", "{}"), { name: "AlreadyApplied" });
    store.put("A", "h2", document);
    store.recordError("A", "é😀'");
    assert.deepEqual(await runSql(path), [
      null,
      [["A", "h2", '{"a":[1.0,1e2],"b":"\\u00e9"}', 7, "é😀'"]],
    ]);
    // Its upsert of the same topology still works, and of another one no more.
    assert.deepEqual(await runSql(path, upsert("A", "h3", 8)), [null, [[
      "A",
      "h3",
      document,
      8,
      null,
    ]]]);
    const [problem, rows] = await runSql(path, upsert("B", "h4", 9));
    assert.match(problem ?? "", /UNIQUE constraint failed/);
    assert.deepEqual(rows, [["A", "h3", document, 8, null]]);
    assert.equal(store.current()?.versionHash, "h3");
  },
);

pythonTest(
  "a store with two rows by python3 opens: the newest wins and can be put",
  async (path) => {
    await runSql(path, upsert("new", "h2", 6, "'boom'"), upsert("old", "h1", 5));
    using store = TopologyStore.open(path, { now: () => 7_000 });
    assert.equal(store.current()?.topologyId, "new");
    assert.equal(store.current()?.hasOlderRows, true);
    store.put("new", "h3", "{}");
    assert.equal(store.current()?.versionHash, "h3");
    assert.throws(() => store.put("old", "h4", "{}"), { name: "AlreadyApplied" });
    const [, rows] = await runSql(path);
    assert.deepEqual(rows.map(([id, hash]) => [id, hash]), [["old", "h1"], ["new", "h3"]]);
  },
);
