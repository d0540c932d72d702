const maximumListed = 1000;
const maximumExcerpt = 80;

/** Describes the subject of a problem: a name from the document, and its place there. */
export function named(name: string, place: string): string {
  return `${excerpt(name)} at ${place}`;
}

/** Returns a problem of a topology as text; codes are a contract with the master (docs/topology.md). */
export function problem(code: string, subject: string, fault: string): string {
  return `[${code}] ${subject}: ${fault}`;
}

/** Lists problems in one line, like `problemLines()`. */
export function describeProblems(problems: readonly string[]): string {
  const [heading, ...lines] = problemLines(problems);
  return `${heading}: ${lines.join("; ")}`;
}

/** Lists problems: a line with their number, then the first thousand. */
export function problemLines(problems: readonly string[]): string[] {
  const others = problems.length - maximumListed;
  return [
    `${problems.length} topology validation error(s)`,
    ...problems.slice(0, maximumListed),
    ...(others > 0 ? [`and ${others} more`] : []),
  ];
}

/** Shortens a text for a message to 80 harmless characters, in quotes unless it is a plain name. */
export function excerpt(text: string): string {
  if (text.length <= maximumExcerpt && isPlain(text)) return text;
  // A character has at most two units.
  const characters = [...text.slice(0, 2 * (maximumExcerpt + 1))];
  const shown = characters.length > maximumExcerpt
    ? [...characters.slice(0, maximumExcerpt - 1), "…"]
    : characters;
  const harmless = shown.join("").replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "\ufffd");
  return isPlain(harmless) ? harmless : `"${harmless}"`;
}

function isPlain(text: string): boolean {
  return /^[\w.:/@-]+\u2026?$/.test(text);
}
