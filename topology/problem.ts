const maximumListed = 1000;
const maximumExcerpt = 80;

/** What can be wrong with a topology; the codes are part of the contract with the master. */
type ProblemCode =
  | "DECKY_NAME_DUP"
  | "DECKY_ORPHAN"
  | "DMZ_MISSING"
  | "DMZ_MULTIPLE"
  | "DMZ_ORPHAN"
  | "ID_MALFORMED"
  | "IP_COLLISION"
  | "IP_MALFORMED"
  | "IP_OUT_OF_SUBNET"
  | "IP_UNKNOWN_LAN"
  | "LAN_NAME_DUP"
  | "NAME_MALFORMED"
  | "SUBNET_MALFORMED"
  | "SUBNET_OVERLAP"
  | "TOO_LARGE";

/** One thing that is wrong with a topology. */
export interface Problem {
  readonly code: ProblemCode;
  /** Where in the document, such as `lans[0].subnet`. */
  readonly place: string;
  /** What is wrong with which object, and its place. */
  readonly message: string;
}

/** What a problem is about. */
export interface Subject {
  /** What an operator calls it, ready for a message. */
  readonly what: string;
  readonly place: string;
}

/** The subject that the document calls `name`. */
export function named(name: string, place: string): Subject {
  return { what: excerpt(name), place };
}

/** A problem whose message begins with its subject. */
export function problem(code: ProblemCode, subject: Subject, fault: string): Problem {
  return { code, place: subject.place, message: `${describe(subject)}: ${fault}` };
}

/** A subject in a message: what it is and where. */
export function describe({ what, place }: Subject): string {
  return `${what} at ${place}`;
}

/** All problems in one line: see `problemLines`. */
export function describeProblems(problems: readonly Problem[]): string {
  const [heading, ...lines] = problemLines(problems);
  return `${heading}: ${lines.join("; ")}`;
}

/** A heading with the number of problems, then the first thousand of them. */
export function problemLines(problems: readonly Problem[]): string[] {
  const listed = problems.slice(0, maximumListed).map(({ code, message }) =>
    `[${code}] ${message}`
  );
  const others = problems.length - listed.length;
  if (others > 0) listed.push(`and ${others} more`);
  return [`${problems.length} topology validation error(s)`, ...listed];
}

/**
 * A text of the document as a message shows it: at most 80 characters, well-formed, in quotes when it
 * is more than a plain name, and without what would steer a terminal.
 */
export function excerpt(text: string): string {
  if (text.length <= maximumExcerpt && isPlain(text)) return text;
  // A character is two units at most.
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
