import { outputOf } from "./requirements.ts";

/** Opens the store as the first agent does, puts a topology there if one is given, prints the rows. */
const program = `
import json, sqlite3, sys
path, *topology = sys.argv[1:]
connection = sqlite3.connect(path)
connection.execute("""CREATE TABLE IF NOT EXISTS applied_topology (
    topology_id TEXT PRIMARY KEY, applied_version_hash TEXT NOT NULL,
    hydrated_blob_json TEXT NOT NULL, applied_at INTEGER NOT NULL, last_error TEXT)""")
if topology:
    id, hash, document, at = topology
    connection.execute("""INSERT INTO applied_topology VALUES (?, ?, ?, ?, NULL)
        ON CONFLICT(topology_id) DO UPDATE SET applied_version_hash = excluded.applied_version_hash,
        hydrated_blob_json = excluded.hydrated_blob_json, applied_at = excluded.applied_at,
        last_error = NULL""", (id, hash, json.dumps(json.loads(document), sort_keys=True), int(at)))
    connection.commit()
rows = connection.execute("SELECT * FROM applied_topology ORDER BY applied_at").fetchall()
print(json.dumps([[*row[:2], json.loads(row[2]), *row[3:]] for row in rows]))
`;

/** A row: id, version hash, document, unix seconds, last error. */
type FirstAgentRow = [string, string, unknown, number, string | null];

/** Returns the store's rows, as the agent in Python reads them. Throws `Error` when it cannot. */
export async function readAsFirstAgent(path: string): Promise<FirstAgentRow[]> {
  return JSON.parse(await outputOf(["python3", "-c", program, path]));
}

/**
 * Stores a topology as the agent in Python does after an apply, and returns all rows. Throws `Error` with
 * what SQLite says when it cannot.
 */
export async function putAsFirstAgent(
  path: string,
  { id, hash, document, at }: { id: string; hash: string; document: string; at: number },
): Promise<FirstAgentRow[]> {
  const args = [path, id, hash, document, String(at)];
  return JSON.parse(await outputOf(["python3", "-c", program, ...args]));
}
