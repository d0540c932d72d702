import { DatabaseSync } from "node:sqlite";
import { sanitizeLine } from "../host/log.ts";
import { lateReason, type LogStatus, maximumBehindMs } from "../logs/status.ts";
import { besideStore, explain, openForReading } from "../store/file.ts";

/** How long to wait for the running agent while it writes, in milliseconds. */
const busyTimeoutMs = 500;
const maximumStatusBytes = 8 * 1024;

/** What a command shows of the lines that the running agent forwards. */
export interface LogReport {
  /** Null when no agent has stored one, or it cannot be read. */
  readonly status: LogStatus | null;
  /** One line for people. */
  readonly text: string;
  /** The field `logs` of `--json` (docs/output.md). */
  readonly json: object | null;
  readonly warnings: readonly string[];
}

/** Returns the path of the file with the status and the positions in logs, beside the store. */
export function logsPathOf(storePath: string): string {
  return besideStore(storePath, "logs.db");
}

/** Reads what the running agent has stored of its work. Never throws. */
export function readLogReport(storePath: string, now = Date.now()): LogReport {
  const path = logsPathOf(storePath);
  try {
    return reportOf(readStatus(path), now);
  } catch (error) {
    const text = `Cannot read ${path}: ${explain(error)}`;
    return { status: null, text, json: { error: text }, warnings: [text] };
  }
}

/** Throws what SQLite says, or `Error` for a status that no agent wrote. */
function readStatus(path: string): LogStatus | null {
  const database = openForReading(path, DatabaseSync);
  if (!database) return null;
  try {
    database.exec(`PRAGMA busy_timeout = ${busyTimeoutMs}`);
    const row = database.prepare(
      "SELECT json FROM status WHERE typeof(json) = 'text' AND octet_length(json) <= ?",
    ).get(maximumStatusBytes);
    return row ? parseStatus(String(row.json)) : null;
  } finally {
    database.close();
  }
}

function parseStatus(text: string): LogStatus {
  const { at, sent, heldBack, cut, gaps, followed, behindSince, problem } = JSON.parse(text);
  const isValid = [sent, heldBack, cut, gaps, followed].every(Number.isSafeInteger) &&
    isTime(at) && (behindSince === null || isTime(behindSince)) &&
    (problem === null || typeof problem === "string");
  if (!isValid) throw new Error("it holds a status that no agent has written");
  return { at, sent, heldBack, cut, gaps, followed, behindSince, problem };
}

/** Whether a value is milliseconds since 1970 that are a date. */
function isTime(value: unknown): boolean {
  return typeof value === "number" && !Number.isNaN(new Date(value).getTime());
}

/** Returns what a command shows of a status. */
export function reportOf(status: LogStatus | null, now: number): LogReport {
  if (!status) return { status, text: "none sent yet", json: null, warnings: [] };
  const { at, sent, heldBack, cut, gaps, followed, behindSince, problem } = status;
  const since = behindSince === null ? null : timeText(behindSince);
  const parts = [
    `${sent} sent of ${followed} containers`,
    `${heldBack} held back`,
    `${cut} cut`,
    ...(gaps === 0 ? [] : [`removed by Docker before they were read: ${gaps} times`]),
    since === null ? "none waits" : `waiting since ${since}`,
    ...(problem === null ? [] : [sanitizeLine(problem)]),
  ];
  return {
    status,
    text: `${parts.join(", ")} (at ${timeText(at)})`,
    json: {
      reported_at: timeText(at),
      containers: followed,
      sent,
      held_back: heldBack,
      cut,
      gaps,
      behind_since: since,
      ...(problem !== null && { problem }),
    },
    warnings: warningsOf(status, now),
  };
}

function warningsOf({ at, behindSince, problem }: LogStatus, now: number): string[] {
  if (now - at > maximumBehindMs) {
    return [
      `no agent has forwarded log lines since ${timeText(at)}; start it, or set ` +
      "forward-logs = false",
    ];
  }
  if (behindSince === null || now - behindSince <= maximumBehindMs) return [];
  return [`log lines wait since ${timeText(behindSince)}: ${lateReason(problem)}`];
}

function timeText(ms: number): string {
  return new Date(ms).toISOString();
}
