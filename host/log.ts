/** Text from outside in one line: nothing in it moves the cursor, colours or ends the line. */
export function sanitizeLine(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+/g, " ");
}

/** How grave a line is. */
export type Level = "info" | "warn" | "error";

/** Writes one line about something that happened. */
export type Log = (level: Level, message: string, fields?: Record<string, string | number>) => void;

/**
 * A log of logfmt lines: `level=warn msg="…" key=value`. There is no time in them, as the journal
 * and every other reader of stderr has its own. A line never holds a line break, whatever is in its
 * values.
 */
export function createLog(write: (line: string) => void): Log {
  return (level, message, fields = {}) => {
    const pairs = Object.entries({ level, msg: message, ...fields });
    write(
      pairs.map(([key, value]) => `${key}=${quoteIfNeeded(sanitizeLine(String(value)))}`).join(
        " ",
      ) +
        "\n",
    );
  };
}

function quoteIfNeeded(value: string): string {
  return /^[\w.,:/@+-]+$/.test(value) ? value : JSON.stringify(value);
}
