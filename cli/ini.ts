/** A line of an ini file that sets something. */
export interface IniEntry {
  readonly key: string;
  readonly value: string;
  /** Counted from 1. */
  readonly line: number;
}

/**
 * The entries of one section, in order. Comments are lines that begin with `#` or `;`; keys are
 * compared ignoring case, as the first agent did; other sections are not looked into.
 * Throws `SyntaxError`, which names the line, when the section holds something else.
 */
export function readSection(text: string, section: string): IniEntry[] {
  const entries: IniEntry[] = [];
  let inSection = false;
  for (const [index, raw] of text.replace(/^\ufeff/, "").split(/\r?\n/).entries()) {
    const content = raw.trim();
    if (content === "" || content.startsWith("#") || content.startsWith(";")) continue;
    const header = /^\[([^\]]*)\]$/.exec(content)?.[1];
    if (header !== undefined) {
      inSection = header.trim() === section;
      continue;
    }
    if (!inSection) continue;
    const [, key, value] = /^([^=:]*?)\s*[=:]\s*(.*)$/.exec(content) ?? [];
    if (!key) throw new SyntaxError(`line ${index + 1} is neither "key = value" nor a comment`);
    entries.push({ key: key.toLowerCase(), value: value!, line: index + 1 });
  }
  return entries;
}
