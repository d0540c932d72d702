const maximumListed = 1000;
const maximumExcerpt = 80;

/** Kinds of problems of a topology; the codes are part of the contract with the master. */
type ProblemCode =
  | "CONFIG_MALFORMED"
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
  | "PORT_COLLISION"
  | "SUBNET_MALFORMED"
  | "SUBNET_OVERLAP"
  | "TOO_LARGE";

/** One problem of a topology. */
export interface Problem {
  readonly code: ProblemCode;
  /** Place in the document, such as `lans[0].subnet`. */
  readonly place: string;
  /** For operators: the object, its place and what is wrong. */
  readonly message: string;
}

/** The object with a problem. */
export interface Subject {
  /** Its description in messages. */
  readonly what: string;
  readonly place: string;
}

/** Makes the subject with a name from the document. */
export function named(name: string, place: string): Subject {
  return { what: excerpt(name), place };
}

/** Makes a problem; its message begins with the subject. */
export function problem(code: ProblemCode, subject: Subject, fault: string): Problem {
  return { code, place: subject.place, message: `${describe(subject)}: ${fault}` };
}

/** Describes a subject and its place. */
export function describe({ what, place }: Subject): string {
  return `${what} at ${place}`;
}

/** Lists problems in one line, like `problemLines()`. */
export function describeProblems(problems: readonly Problem[]): string {
  const [heading, ...lines] = problemLines(problems);
  return `${heading}: ${lines.join("; ")}`;
}

/** Lists problems: a line with their number, then the first thousand. */
export function problemLines(problems: readonly Problem[]): string[] {
  const listed = problems.slice(0, maximumListed).map(({ code, message }) =>
    `[${code}] ${message}`
  );
  const others = problems.length - listed.length;
  if (others > 0) listed.push(`and ${others} more`);
  return [`${problems.length} topology validation error(s)`, ...listed];
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
