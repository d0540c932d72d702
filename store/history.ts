import { readSmallFile } from "../host/files.ts";
import { sanitizeLine } from "../host/log.ts";
import { besideStore } from "./file.ts";

/** How long a replacement and a refused push count, in milliseconds. */
export const recentMs = 10 * 60_000;

/** The longest text of a refusal, in characters. */
export const maximumDetailLength = 1_000;

const maximumFileBytes = 16 * 2 ** 10;
const maximumIdLength = 1_000;

/** A topology that has left its place in the store to another one. */
export interface Replacement {
  readonly topologyId: string;
  /** Milliseconds since 1970. */
  readonly at: number;
}

const refusalCodes = ["conflict", "loop", "failed"] as const;

/** A push that changed nothing, because the stored topology is another one. */
export interface RefusedPush {
  readonly code: typeof refusalCodes[number];
  /** The topology that was stored. */
  readonly keptId: string;
  /** The topology that was pushed. */
  readonly refusedId: string;
  /** What was refused, why, and what to do; for operators. */
  readonly detail: string;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** What the last applies on a host have done to topologies with other ids. */
export interface ApplyHistory {
  /** The last three, the newest at the end. */
  readonly replaced: readonly Replacement[];
  /** The last one; null when there was none. */
  readonly refused: RefusedPush | null;
  /** The topology that stays since others have replaced each other, or null. */
  readonly loop: { readonly keptId: string; readonly since: number } | null;
}

const noHistory: ApplyHistory = { replaced: [], refused: null, loop: null };

/** Returns the path of the history beside the store at `storePath`. */
export function historyPathOf(storePath: string): string {
  return besideStore(storePath, "history.json");
}

/**
 * Reads the history beside the store at `storePath`. A file that is absent, cannot be read or holds
 * anything unexpected counts as empty. Never throws.
 */
export function readHistory(storePath: string): ApplyHistory {
  try {
    const value = JSON.parse(readSmallFile(historyPathOf(storePath), maximumFileBytes) ?? "null");
    return fits(value, historyShape) ? value : noHistory;
  } catch {
    return noHistory;
  }
}

/** Returns the last refused push while topology `appliedId` is stored; null when none is recent. */
export function readRefusedPush(storePath: string, appliedId: string): RefusedPush | null {
  const { refused } = readHistory(storePath);
  if (!refused || refused.keptId !== appliedId || !isRecent(refused.at, Date.now())) return null;
  return { ...refused, detail: sanitizeLine(refused.detail) };
}

/** Describes a push that was refused, for the host's operator: the master may not show the reason. */
export function describeRefusedPush({ detail }: RefusedPush): string {
  return `a push was refused: ${detail}`;
}

/** Returns true within 10 minutes of `at`, on both sides: a clock may have been set back. */
export function isRecent(at: number, now: number): boolean {
  return Math.abs(now - at) < recentMs;
}

type Fields = Readonly<Record<string, unknown>>;
/** What is expected of each field. */
type Shape = Readonly<Record<string, (value: unknown) => boolean>>;

const isTime = Number.isSafeInteger;
const isText = (maximumLength: number) => (value: unknown) =>
  typeof value === "string" && value.length <= maximumLength;
const isId = isText(maximumIdLength);

const replacementShape: Shape = { topologyId: isId, at: isTime };
const refusalShape: Shape = {
  code: (value) => refusalCodes.some((it) => it === value),
  keptId: isId,
  refusedId: isId,
  detail: isText(maximumDetailLength),
  at: isTime,
};
const loopShape: Shape = { keptId: isId, since: isTime };
const historyShape: Shape = {
  replaced: (value) =>
    Array.isArray(value) && value.length <= 3 && value.every((it) => fits(it, replacementShape)),
  refused: (value) => value === null || fits(value, refusalShape),
  loop: (value) => value === null || fits(value, loopShape),
};

/** Returns true when all fields are as expected. Throws for null. */
function fits(value: unknown, shape: Shape): boolean {
  return Object.entries(shape).every(([name, isExpected]) => isExpected((value as Fields)[name]));
}
