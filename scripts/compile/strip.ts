import {
  HEADER,
  openElf,
  PROGRAM,
  readSections,
  SECTION,
  type Section,
  SHT_NOBITS,
} from "./elf.ts";

/** The names of functions, for debuggers: a fifth of the runtime base, and never loaded. */
const symbolSections = [".symtab", ".strtab"];

/**
 * The runtime base without its symbols, as `strip` would make it; done here so that the same base
 * gives the same bytes whatever tools a machine has. Throws `Error` for a program whose symbols do not
 * come after all that is loaded.
 */
export function stripSymbols(program: Uint8Array): Uint8Array {
  const view = openElf(program, failed);
  const sections = readSections(view, failed);
  const dropped = sections.filter(({ name }) => symbolSections.includes(name));
  if (dropped.length !== symbolSections.length) throw failed(`no ${symbolSections.join(" and ")}`);
  const start = Math.min(...dropped.map(({ offset }) => offset));
  if (endOfLoaded(view) > start) throw failed("its symbols come before what is loaded");
  const kept = sections.filter((section) => !dropped.includes(section));
  const parts: Uint8Array[] = [program.subarray(0, start)];
  let length = start;
  const append = (part: Uint8Array) => {
    parts.push(part);
    length += part.length;
    const padding = -length & 7;
    parts.push(new Uint8Array(padding));
    length += padding;
  };
  append(new Uint8Array(0));
  const table = new Uint8Array(kept.length * SECTION.length);
  const headers = new DataView(table.buffer);
  for (const [index, section] of kept.entries()) {
    const at = index * SECTION.length;
    table.set(program.subarray(section.header, section.header + SECTION.length), at);
    const link = headers.getUint32(at + SECTION.link, true);
    headers.setUint32(at + SECTION.link, indexOf(sections[link]!, kept), true);
    if (section.type === SHT_NOBITS || section.offset < start) continue;
    headers.setBigUint64(at + SECTION.offset, BigInt(length), true);
    append(program.subarray(section.offset, section.offset + section.size));
  }
  const tableAt = length;
  append(table);
  const stripped = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    stripped.set(part, at);
    at += part.length;
  }
  const header = new DataView(stripped.buffer);
  const names = sections[view.getUint16(HEADER.nameSection, true)]!;
  header.setBigUint64(HEADER.sectionTable, BigInt(tableAt), true);
  header.setUint16(HEADER.sectionCount, kept.length, true);
  header.setUint16(HEADER.nameSection, indexOf(names, kept), true);
  return stripped;
}

/** Where the last byte that is loaded stands in the file, and one more. */
function endOfLoaded(view: DataView): number {
  const table = Number(view.getBigUint64(HEADER.programTable, true));
  const count = view.getUint16(HEADER.programCount, true);
  const ends = Array.from({ length: count }, (_, index) => {
    const at = table + index * PROGRAM.length;
    return Number(view.getBigUint64(at + PROGRAM.offset, true)) +
      Number(view.getBigUint64(at + PROGRAM.fileSize, true));
  });
  return Math.max(0, ...ends);
}

function indexOf(section: Section, kept: readonly Section[]): number {
  const index = kept.indexOf(section);
  if (index < 0) throw failed(`something else depends on ${section.name}`);
  return index;
}

function failed(why: string): Error {
  return new Error(`Cannot strip the runtime base: ${why}`);
}
