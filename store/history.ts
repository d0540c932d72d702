import { readSmallFile } from "../host/files.ts";
import { sanitizeLine } from "../host/log.ts";
import { besideStore } from "./file.ts";

/** How long a replacement and a refused push count, in milliseconds. */
export const recentMs = 10 * 60_000;

/** The longest text of a refusal, and the longest id, in characters. */
export const maximumDetailLength = 1_000;

const maximumFileBytes = 16 * 2 ** 10;

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

/** Reads the history beside a store; one that is absent, unreadable or unexpected is empty. */
export function readHistory(storePath: string): ApplyHistory {
  try {
    const value = JSON.parse(readSmallFile(historyPathOf(storePath), maximumFileBytes) ?? "null");
    return isHistory(value) ? value : noHistory;
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

/** Returns true when all fields are as expected; may throw otherwise. */
function isHistory({ replaced, refused, loop }: ApplyHistory): boolean {
  return Array.isArray(replaced) && replaced.length <= 3 &&
    replaced.every(({ topologyId, at }) => isText(topologyId) && Number.isSafeInteger(at)) &&
    (refused === null || isRefusedPush(refused)) &&
    (loop === null || (isText(loop.keptId) && Number.isSafeInteger(loop.since)));
}

function isRefusedPush({ code, keptId, refusedId, detail, at }: RefusedPush): boolean {
  return refusalCodes.includes(code) && [keptId, refusedId, detail].every(isText) &&
    Number.isSafeInteger(at);
}

function isText(value: unknown): boolean {
  return typeof value === "string" && value.length <= maximumDetailLength;
}
