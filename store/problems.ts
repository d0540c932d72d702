import { readSmallFile } from "../host/files.ts";
import { shorten } from "../host/log.ts";
import { replacePrivateFile } from "../host/new_file.ts";
import { besideStore } from "./file.ts";

const maximumCount = 20;
const maximumTextLength = 500;
const maximumFileBytes = 64 * 2 ** 10;
/** The shortest time between two writes, in milliseconds. */
const minimumGapMs = 1_000;

/** A warning or an error that the running agent has logged. */
export interface Problem {
  /** An ISO 8601 time. */
  readonly at: string;
  readonly level: "warn" | "error";
  /** The line of the log, without its time and level; at most 500 characters. */
  readonly text: string;
}

/** Returns the path of the file of problems beside the store at `storePath`. */
export function problemsPathOf(storePath: string): string {
  return besideStore(storePath, "problems.json");
}

/** Reads the last problems, the newest at the end; none from a file that is not as expected. */
export function readProblems(storePath: string): readonly Problem[] {
  try {
    const text = readSmallFile(problemsPathOf(storePath), maximumFileBytes);
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
 * Keeps the last 20 problems in a file beside the store, for `doctor --report`: a host may have no
 * journal that outlives a reboot. A file that cannot be written does no harm.
 */
export class ProblemFile {
  readonly #storePath: string;
  /** Null until the first problem: a host without problems reads and writes nothing. */
  #problems: readonly Problem[] | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #writtenAt = -Infinity;

  constructor(storePath: string) {
    this.#storePath = storePath;
  }

  /** Adds a line of the log; writes it at once, or within a second of the last write. */
  record(level: Problem["level"], text: string): void {
    const before = this.#problems ?? readProblems(this.#storePath);
    const problem = { at: new Date().toISOString(), level, text: shorten(text, maximumTextLength) };
    this.#problems = [...before, problem].slice(-maximumCount);
    if (this.#timer !== null) return;
    const waitMs = this.#writtenAt + minimumGapMs - performance.now();
    if (waitMs <= 0) this.#write();
    else this.#timer = setTimeout(() => this.#write(), waitMs);
  }

  /** Writes what has not been written yet. */
  close(): void {
    if (this.#timer !== null) this.#write();
  }

  #write(): void {
    clearTimeout(this.#timer ?? undefined);
    this.#timer = null;
    this.#writtenAt = performance.now();
    try {
      const lines = this.#problems!.map((it) => JSON.stringify(it)).join(",\n");
      replacePrivateFile(problemsPathOf(this.#storePath), `[${lines}]\n`);
    } catch {
      // The disk may be full or the folder read-only; both are reported elsewhere.
    }
  }
}
