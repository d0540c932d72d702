import { forbiddenPath } from "./files.ts";

/** Replaces what could move the cursor, set colours or end the line: for text from outside. */
export function sanitizeLine(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]+/g, " ");
}

/** Returns the message of a thrown value, which may be no `Error`; says why the runtime denies a path. */
export function messageOf(error: unknown): string {
  if (error instanceof Deno.errors.NotCapable) return forbiddenPath;
  return error instanceof Error ? error.message : String(error);
}

/** Returns a message without what the runtime adds: a number, its own call, and a path that is known. */
export function systemMessage(error: unknown): string {
  return messageOf(error).replace(/ \(os error \d+\)(?:: \w+ '.*')?$/s, "");
}

/** Cuts a text that has more than `maximum` characters; it then ends with `…`. */
export function shorten(text: string, maximum: number): string {
  return text.length <= maximum ? text : `${text.slice(0, maximum - 1).toWellFormed()}…`;
}

/** How many names `firstNames()` lists. */
const namesShown = 3;

/** Lists the first three names, and how many more there are. */
export function firstNames(names: readonly string[]): string {
  const more = names.length > namesShown ? ` and ${names.length - namesShown} more` : "";
  return names.slice(0, namesShown).join(", ") + more;
}

/**
 * The levels of lines with their priorities, as in sd-daemon(3). An error: the agent cannot do a part of
 * its work now. A warning: it can, but an operator should look. An info: a change, or a problem's end.
 */
const priorities = { error: 3, warn: 4, info: 6, debug: 7 } as const;

/** The severity of a line. */
export type Level = keyof typeof priorities;

/** All levels, the most severe first. */
export const levels = Object.keys(priorities) as readonly Level[];

/** Writes one line of the log. Makes no text of a line whose level is not logged. */
export type Log = (level: Level, message: string, fields?: Record<string, string | number>) => void;

/**
 * Returns a log of logfmt lines, `level=warn msg="…" key=value`, never with a line break in them. Leaves
 * out levels below `lowest()`.
 */
export function createLog(
  write: (line: string, level: Level) => void,
  lowest: () => Level = () => "info",
): Log {
  return (level, message, fields) => {
    if (priorities[level] > priorities[lowest()]) return;
    write(`level=${level} ${logText(message, fields)}\n`, level);
  };
}

/** Returns what a line of the log says, without its level: `msg="…" key=value`. */
export function logText(message: string, fields: Record<string, string | number> = {}): string {
  return Object.entries({ msg: message, ...fields })
    .map(([key, value]) => `${key}=${quoteIfNeeded(sanitizeLine(String(value)))}`).join(" ");
}

/** Returns what a line begins with: its priority for the journal, which adds the time; else the time. */
export function lineStart(level: Level, isJournal: boolean): string {
  return isJournal ? `<${priorities[level]}>` : `time=${new Date().toISOString()} `;
}

/** Returns true for 1, 2, 4, 8 …: the counts at which something that repeats is logged. */
export function isPowerOfTwo(count: number): boolean {
  return (count & (count - 1)) === 0;
}

function quoteIfNeeded(value: string): string {
  return /^[\w.,:/@+-]+$/.test(value) ? value : JSON.stringify(value);
}

/** Formats the address of a host and a port as in a URL. */
export function hostAndPort(
  { host, port }: { readonly host: string; readonly port: number },
): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Formats a time, given in milliseconds since 1970, to the second. */
export function timeOf(ms: number): string {
  return Number.isNaN(ms) ? "an unknown time" : new Date(ms).toISOString().replace(/\.\d+/, "");
}
