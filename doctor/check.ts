import type { Patient } from "./patient.ts";

/** What a check has found. */
export type Result =
  | {
    readonly state: "ok" | "skipped";
    /** What was seen, or why nothing was looked at; each line is a fact of its own. */
    readonly saw: readonly string[];
  }
  | {
    readonly state: "warning" | "failed";
    readonly saw: readonly string[];
    /** The one command that mends it. */
    readonly mend: string;
  };

/** One thing that is looked at. */
export interface Check {
  readonly name: string;
  /** The exit code that a failure asks for: 2 for Docker and the master, 3 for all else. */
  readonly code: 2 | 3;
  /** Looks, and changes nothing. What it throws counts as a failure. */
  readonly run: (patient: Patient) => Promise<Result> | Result;
}

/** All is well. */
export function ok(...saw: string[]): Result {
  return { state: "ok", saw };
}

/** It was not looked at. */
export function skipped(why: string): Result {
  return { state: "skipped", saw: [why] };
}

/** Something is not as it should be, and the agent goes on all the same. */
export function warning(saw: string | readonly string[], mend: string): Result {
  return { state: "warning", saw: [saw].flat(), mend };
}

/** Something that the agent needs does not work. */
export function failed(saw: string | readonly string[], mend: string): Result {
  return { state: "failed", saw: [saw].flat(), mend };
}
