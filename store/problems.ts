import { readSmallFile } from "../host/files.ts";
import { shorten } from "../host/log.ts";
import { replacePrivateFile } from "../host/new_file.ts";
import { besideStore } from "./file.ts";

const fileName = "problems.json";
const maximumCount = 20;
const maximumTextLength = 500;
const maximumFileBytes = 64 * 2 ** 10;

/** A warning or an error that the running agent has logged. */
export interface Problem {
  /** An ISO 8601 time. */
  readonly at: string;
  readonly level: "warn" | "error";
  /** The line of the log, without its time and level; at most 500 characters. */
  readonly text: string;
}

/** Reads the last problems, the newest at the end; none from a file that is not as expected. */
export function readProblems(storePath: string): readonly Problem[] {
  try {
    const text = readSmallFile(besideStore(storePath, fileName), maximumFileBytes);
    const value = text === null ? [] : JSON.parse(text);
    return Array.isArray(value) && value.every(isProblem) ? value.slice(-maximumCount) : [];
  } catch {
    return [];
  }
}

function isProblem(value: Record<string, unknown> | null): boolean {
  const { at, level, text } = value ?? {};
  return typeof at === "string" && !Number.isNaN(Date.parse(at)) &&
    (level === "warn" || level === "error") &&
    typeof text === "string" && text.length <= maximumTextLength;
}

/**
 * Adds a line of the log to the last 20 problems, for `doctor --report`: a host may have no journal that
 * outlives a reboot. A file that cannot be written does no harm.
 */
export function recordProblem(storePath: string, level: Problem["level"], text: string): void {
  const problem = { at: new Date().toISOString(), level, text: shorten(text, maximumTextLength) };
  const problems = [...readProblems(storePath), problem].slice(-maximumCount);
  try {
    const lines = problems.map((it) => JSON.stringify(it)).join(",\n");
    replacePrivateFile(besideStore(storePath, fileName), `[${lines}]\n`);
  } catch {
    // The disk may be full or the folder read-only; both are reported elsewhere.
  }
}
