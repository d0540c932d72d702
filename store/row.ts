import type { SQLOutputValue } from "node:sqlite";

/** How long an id or a hash may be, and a document with its keys sorted, in bytes. */
export const maximumIdBytes = 1000;
export const maximumDocumentBytes = 32 * 2 ** 20;
/** How much of an error is kept, in characters. */
export const maximumErrorLength = 500;

/** What was applied last. */
export interface AppliedTopology {
  readonly topologyId: string;
  /** Empty when nothing was applied yet and only an error is recorded. */
  readonly versionHash: string;
  /** JSON text, keys sorted; `{}` when unknown. */
  readonly document: string;
  /** Unix time in seconds; 0 when nothing was applied yet. */
  readonly appliedAt: number;
  /** Null when the last apply succeeded. */
  readonly lastError: string | null;
  /** The file holds further rows, which are ignored: an older agent could be made to write them. */
  readonly hasOlderRows: boolean;
}

/** The file holds what it must not, though SQLite could read it. */
export class DamagedStore extends Error {
  override readonly name = "DamagedStore";
}

/** SQLite lets a column hold any type: what another program wrote is checked here. */
export function readRow(
  [topologyId, versionHash, document, appliedAt, lastError]: SQLOutputValue[],
  hasOlderRows: boolean,
): AppliedTopology {
  return {
    topologyId: text(topologyId, "topology_id"),
    versionHash: text(versionHash, "applied_version_hash"),
    document: json(document, "hydrated_blob_json"),
    appliedAt: integer(appliedAt, "applied_at"),
    lastError: lastError === null ? null : text(lastError, "last_error"),
    hasOlderRows,
  };
}

function text(value: SQLOutputValue | undefined, column: string): string {
  if (typeof value === "string") return value;
  throw new DamagedStore(`column ${column} holds no text, or too much of it`);
}

function json(value: SQLOutputValue | undefined, column: string): string {
  const document = text(value, column);
  // What SQLite reads behind the end of a file that was cut short is zero.
  if (!document.includes("\0")) return document;
  throw new DamagedStore(`column ${column} holds a zero byte`);
}

function integer(value: SQLOutputValue | undefined, column: string): number {
  if (typeof value === "number" && Number.isSafeInteger(value)) return value;
  throw new DamagedStore(`column ${column} holds no whole number`);
}

/** Throws `RangeError` for what `readRow` would refuse: what is written must be read again. */
export function checkLengths(topologyId: string, versionHash: string, document: string): void {
  const bytesOf = (value: string) => new TextEncoder().encode(value).length;
  if (bytesOf(topologyId) > maximumIdBytes || bytesOf(versionHash) > maximumIdBytes) {
    throw new RangeError(
      `Cannot store the topology: an id or hash of over ${maximumIdBytes} bytes`,
    );
  }
  // The sorted document is ASCII.
  if (document.length > maximumDocumentBytes) {
    throw new RangeError("Cannot store the topology: a document of over 32 MiB");
  }
}

/** The first characters; they are code points, as in the first agent: a pair of surrogates is one. */
export function firstCharacters(text: string, count: number): string {
  return [...text.slice(0, 2 * count)].slice(0, count).join("").toWellFormed();
}
