import { maximumDocumentBytes, maximumErrorLength, maximumIdBytes } from "./row.ts";

const columns = "topology_id, applied_version_hash, hydrated_blob_json, applied_at, last_error";
/** What is larger, the runtime does not hand over as a number. */
const largestTime = Number.MAX_SAFE_INTEGER;

/** Answers a row when there is our table; for SQLite its name is the same in any case. */
export const selectTable = `
  SELECT 1 FROM sqlite_schema
  WHERE type = 'table' AND name = 'applied_topology' COLLATE NOCASE`;

/**
 * The newest row and, as a sign that there are more, another. The runtime ends the process when it is
 * handed a text of more than 512 MiB, so what is too long is left out.
 */
export const selectNewest = `
  SELECT iif(octet_length(topology_id) <= ${maximumIdBytes}, topology_id, NULL),
    iif(octet_length(applied_version_hash) <= ${maximumIdBytes}, applied_version_hash, NULL),
    iif(octet_length(hydrated_blob_json) <= ${maximumDocumentBytes}, hydrated_blob_json, NULL),
    iif(typeof(applied_at) = 'integer' AND applied_at BETWEEN ${-largestTime} AND ${largestTime},
      applied_at, NULL),
    iif(typeof(last_error) = 'text', substr(last_error, 1, ${maximumErrorLength}), last_error)
  FROM applied_topology ORDER BY applied_at DESC, topology_id LIMIT 2`;

/** The id of the newest row, as `id`. */
export const selectNewestId = `
  SELECT iif(typeof(topology_id) = 'text' AND octet_length(topology_id) <= ${maximumIdBytes},
    topology_id, '(unreadable)') AS id
  FROM applied_topology ORDER BY applied_at DESC, topology_id LIMIT 1`;

/** Takes id, hash, document and time. */
export const upsert = `
  INSERT INTO applied_topology (${columns}) VALUES (?, ?, ?, ?, NULL)
  ON CONFLICT (topology_id) DO UPDATE SET applied_version_hash = excluded.applied_version_hash,
    hydrated_blob_json = excluded.hydrated_blob_json, applied_at = excluded.applied_at,
    last_error = NULL`;

/** Takes id, document and error. */
export const insertMarker = `INSERT INTO applied_topology (${columns}) VALUES (?, '', ?, 0, ?)`;

/** Takes error, document and id. */
export const updateError = `
  UPDATE applied_topology SET last_error = ?,
    hydrated_blob_json = iif(hydrated_blob_json = '{}', ?, hydrated_blob_json)
  WHERE topology_id = ?`;

/** Takes all columns. */
export const insertRow = `INSERT INTO applied_topology (${columns}) VALUES (?, ?, ?, ?, ?)`;

/** Takes an id. */
export const deleteRow = "DELETE FROM applied_topology WHERE topology_id = ?";

export const deleteRows = "DELETE FROM applied_topology";
