/** Replaces what could move the cursor, set colours or end the line: for text from outside. */
export function sanitizeLine(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+/g, " ");
}

/** Cuts a text that has more than `maximum` characters; it then ends with `…`. */
export function shorten(text: string, maximum: number): string {
  return text.length <= maximum ? text : `${text.slice(0, maximum - 1).toWellFormed()}…`;
}

/** The severity of a line. */
export type Level = "info" | "warn" | "error";

/** Writes one line of the log. */
export type Log = (level: Level, message: string, fields?: Record<string, string | number>) => void;

/**
 * Returns a log that writes logfmt lines, `level=warn msg="…" key=value`, never with a line break in
 * them. They contain no time, because the journal adds its own.
 */
export function createLog(write: (line: string) => void): Log {
  return (level, message, fields) => write(`level=${level} ${logText(message, fields)}\n`);
}

/** Returns what a line of the log says, without its level: `msg="…" key=value`. */
export function logText(message: string, fields: Record<string, string | number> = {}): string {
  return Object.entries({ msg: message, ...fields })
    .map(([key, value]) => `${key}=${quoteIfNeeded(sanitizeLine(String(value)))}`).join(" ");
}

/** Returns true for 1, 2, 4, 8 …: the counts at which something that repeats is logged. */
export function isPowerOfTwo(count: number): boolean {
  return (count & (count - 1)) === 0;
}

function quoteIfNeeded(value: string): string {
  return /^[\w.,:/@+-]+$/.test(value) ? value : JSON.stringify(value);
}
