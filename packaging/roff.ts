/** What roff would make something else of. */
const escapes: Readonly<Record<string, string>> = {
  "\\": "\\e",
  "'": "\\(aq",
  "`": "\\(ga",
  "~": "\\(ti",
  "^": "\\(ha",
  '"': "\\(dq",
};

/** Text for a man page: nothing in it is taken for a request or an escape. */
export function plain(text: string): string {
  const escaped = text.replace(/[\\'`~^"]/g, (character) => escapes[character]!);
  return escaped.replace(/^\./gm, "\\&.");
}

/** To be typed as it stands: bold, and its dashes are those of the keyboard. */
export function literal(text: string): string {
  return `\\fB${plain(text).replaceAll("-", "\\-")}\\fR`;
}

/** What stands for something else. */
export function variable(text: string): string {
  return `\\fI${plain(text).replaceAll("-", "\\-")}\\fR`;
}

/** A sentence; flags, paths, `code` and variables in it are literal. */
export function sentence(text: string): string {
  const code = /`([^`]+)`|((?:(?<=^|[\s(])(?:--[a-z][a-z-]*|[$~]?\/[\w./-]*\w|\$[A-Z_]+[\w/-]*)))/;
  const parts = text.split(new RegExp(code, "g"));
  return parts.map((part = "", index) => {
    if (part === "") return "";
    return index % 3 === 0 ? plain(part) : literal(part);
  }).join("");
}

/** How something is called: words in capitals stand for others, the rest is literal. */
export function synopsis(usage: string): string {
  return usage.split(/(\s+|[|=[\]]|unix:\/\/)/).filter(Boolean).map((part) => {
    if (/^[\s|[\]]+$/.test(part)) return part;
    return /^[A-Z]+(:[A-Z]+)?$/.test(part) ? variable(part) : literal(part);
  }).join("");
}

/** A section with its heading, which parts it from what precedes as a paragraph would. */
export function section(heading: string, ...parts: readonly string[]): string {
  return `.SH ${heading}\n${parts.join("").replace(/^\.PP\n/, "")}`;
}

/** A heading within a section. */
export function subsection(heading: string, ...parts: readonly string[]): string {
  return `.SS ${heading}\n${parts.join("")}`;
}

/** A paragraph of prose. */
export function paragraph(text: string): string {
  return `.PP\n${wrapped(sentence(text))}\n`;
}

/** A term, which is roff already, and what is said of it: a line each. */
export function item(term: string, ...lines: readonly string[]): string {
  return `.TP\n${term}\n${lines.map(wrapped).join("\n.br\n")}\n`;
}

/** Lines to be typed, with what is said of them. */
export function example(text: string, ...commands: readonly string[]): string {
  const lines = commands.map((line) => `${plain(line).replaceAll("-", "\\-")}\n`).join("");
  return `.PP\n${wrapped(sentence(text))}\n.PP\n.RS 4\n.nf\n${lines}.fi\n.RE\n`;
}

/** Lines of at most 80 characters where it can be; each begins with text, not with a request. */
function wrapped(text: string): string {
  const lines = text.match(/\S(?:.{0,78}\S)?(?=\s|$)|\S+/g) ?? [];
  return lines.map((line) => line.replace(/^\./, "\\&.")).join("\n");
}
