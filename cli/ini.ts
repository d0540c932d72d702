/** A line of an ini file that sets something. */
export interface IniEntry {
  readonly key: string;
  readonly value: string;
  /** Counted from 1. */
  readonly line: number;
}

/**
 * The entries of one section, in order, or null when there is no such section. Comments are lines
 * that begin with `#` or `;`; names of sections and keys are compared ignoring case, and in keys `_`
 * is the same as `-`; other sections are not looked into.
 * Throws `SyntaxError`, which names the line, when the section holds something else, or a key twice:
 * a line that is passed over in silence would leave a host unheard of.
 */
export function readSection(text: string, section: string): IniEntry[] | null {
  let entries: IniEntry[] | null = null;
  const known = new Set<string>();
  let current: string | null = null;
  for (const [index, raw] of text.split(/\r\n|\n|\r/).entries()) {
    // This takes off a byte order mark, too.
    const content = raw.trim();
    if (content === "" || content.startsWith("#") || content.startsWith(";")) continue;
    // deno-lint-ignore no-control-regex
    if (/[\x00-\x08\ufffd]/.test(content)) throw new SyntaxError(`line ${index + 1} is not text`);
    const header = /^\[([^\]]*)\]\s*(?:[#;].*)?$/.exec(content)?.[1];
    if (header !== undefined) {
      current = header.trim().toLowerCase();
      if (current === section) entries ??= [];
      continue;
    }
    if (current === null || raw.startsWith("[")) {
      throw new SyntaxError(`line ${index + 1} is neither a [section] nor in one`);
    }
    if (current !== section || !entries) continue;
    // Not by one pattern for all of it, which would take minutes for a line of a million spaces.
    const mark = content.search(/[=:]/);
    const written = content.slice(0, Math.max(0, mark)).trimEnd();
    if (!written || /[\u2028\u2029]/.test(content)) {
      throw new SyntaxError(`line ${index + 1} is neither "key = value" nor a comment`);
    }
    const key = written.toLowerCase().replaceAll("_", "-");
    if (known.has(key)) {
      throw new SyntaxError(`line ${index + 1} sets '${key}' for the second time`);
    }
    known.add(key);
    entries.push({ key, value: content.slice(mark + 1).trimStart(), line: index + 1 });
  }
  return entries;
}
