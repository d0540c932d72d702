/** Field offsets of the ELF64 format: header, program header, section header. */
const HEADER = {
  programTable: 32,
  sectionTable: 40,
  programCount: 56,
  sectionCount: 60,
  nameSection: 62,
};
const PROGRAM = { offset: 8, fileSize: 32, length: 56 };
const SECTION = { type: 4, offset: 24, size: 32, link: 40, length: 64 };
const PT_PHDR = 6;
/** A section without bytes in the file. */
export const SHT_NOBITS = 8;
const HEADER_LENGTH = 64;

/** What `deno compile` adds to its base: the program, and a longer program table. */
const ADDED_SECTIONS = [".note.sui", ".sui.phdrs"];

/**
 * Returns the runtime base inside a program that `deno compile` has made.
 *
 * `deno compile` has moved the program table, added two sections and written a new section table at
 * the end; the original tables are still where they were. So the header is set back to them, and the
 * rest is cut off. Throws `Error` for another input; only its hash shows that the result is the base.
 */
export function recoverBase(program: Uint8Array): Uint8Array {
  const view = openElf(program, failed);
  const sections = readSections(view, failed);
  const added = sections.filter((s) => ADDED_SECTIONS.includes(s.name));
  if (added.length !== ADDED_SECTIONS.length) {
    throw failed(`no sections ${ADDED_SECTIONS.join(" and ")} in it`);
  }

  const addedAt = Math.min(...added.map((section) => section.offset));
  const contentEnd = Math.max(
    HEADER_LENGTH,
    ...sections
      .filter((s) => s.type !== SHT_NOBITS && s.offset < addedAt)
      .map((s) => s.offset + s.size),
  );
  const table = findOriginalTable(program, sections, contentEnd, addedAt);
  const count = sections.length - ADDED_SECTIONS.length;
  const end = table + count * SECTION.length;
  if (end > addedAt) throw failed("the original section table is cut short");

  // Not slice(): that of a Buffer shares its memory.
  const base = new Uint8Array(program.subarray(0, end));
  const header = new DataView(base.buffer);
  header.setBigUint64(HEADER.programTable, BigInt(HEADER_LENGTH), true);
  header.setUint16(HEADER.programCount, originalProgramCount(view), true);
  header.setBigUint64(HEADER.sectionTable, BigInt(table), true);
  header.setUint16(HEADER.sectionCount, count, true);
  return base;
}

/** A view of a program. Throws `Error` when it is none of 64 bits, little-endian. */
export function openElf(program: Uint8Array, fail: (why: string) => Error): DataView {
  const magic = [0x7f, 0x45, 0x4c, 0x46, /* 64-bit */ 2, /* little-endian */ 1];
  if (
    program.length < HEADER_LENGTH + PROGRAM.length ||
    magic.some((byte, index) => program[index] !== byte)
  ) {
    throw fail("it is not a 64-bit little-endian ELF program");
  }
  return new DataView(program.buffer, program.byteOffset, program.byteLength);
}

/** A section of a program. */
interface Section {
  readonly name: string;
  readonly type: number;
  readonly offset: number;
  readonly size: number;
  /** The offset of its header. */
  readonly header: number;
}

/** The sections in the order of their table. Throws `Error` when that is cut short. */
export function readSections(view: DataView, fail: (why: string) => Error): Section[] {
  const table = Number(view.getBigUint64(HEADER.sectionTable, true));
  const count = view.getUint16(HEADER.sectionCount, true);
  const end = table + count * SECTION.length;
  if (end > view.byteLength) {
    throw fail(
      `it is cut short: its section table ends at byte ${end}, ` +
        `the file at byte ${view.byteLength}`,
    );
  }
  const nameSection = view.getUint16(HEADER.nameSection, true);
  if (nameSection >= count) throw fail("it has no section names");
  const field = (index: number, offset: number) =>
    Number(view.getBigUint64(table + index * SECTION.length + offset, true));
  const names = field(nameSection, SECTION.offset);
  return Array.from({ length: count }, (_, index) => {
    const header = table + index * SECTION.length;
    return {
      name: readName(view, names + view.getUint32(header, true)),
      type: view.getUint32(header + SECTION.type, true),
      offset: field(index, SECTION.offset),
      size: field(index, SECTION.size),
      header,
    };
  });
}

function readName(view: DataView, start: number): string {
  let name = "";
  const end = Math.min(start + 32, view.byteLength);
  for (let at = start; at < end && view.getUint8(at) !== 0; at++) {
    name += String.fromCharCode(view.getUint8(at));
  }
  return name;
}

/** A section table starts with an empty entry, then the first real section's. */
function findOriginalTable(
  program: Uint8Array,
  sections: readonly Section[],
  from: number,
  to: number,
): number {
  const first = sections[1]!.header;
  // The name's index is left out: it counts in a string table that was rewritten.
  const wanted = program.subarray(first + SECTION.type, first + SECTION.length);
  const last = Math.min(to, program.length) - 2 * SECTION.length;
  for (let at = Math.ceil(from / 8) * 8; at <= last; at += 8) {
    const second = at + SECTION.length;
    if (
      program.subarray(at, second).every((byte) => byte === 0) &&
      wanted.every((byte, i) => program[second + SECTION.type + i] === byte)
    ) return at;
  }
  throw failed("no original section table in it");
}

/** The first original entry describes the program table itself, thus its length. */
function originalProgramCount(view: DataView): number {
  const first = HEADER_LENGTH;
  const offset = Number(view.getBigUint64(first + PROGRAM.offset, true));
  const size = Number(view.getBigUint64(first + PROGRAM.fileSize, true));
  if (
    view.getUint32(first, true) !== PT_PHDR || offset !== HEADER_LENGTH ||
    size === 0 || size % PROGRAM.length !== 0
  ) {
    throw failed(`no original program table at byte ${HEADER_LENGTH}`);
  }
  return size / PROGRAM.length;
}

function failed(why: string): Error {
  return new Error(`Cannot recover the runtime base: ${why}`);
}

/** The names of functions for debuggers: a fifth of the runtime base, never loaded. */
const symbolSections = [".symtab", ".strtab"];

/**
 * Returns the runtime base without its symbols, as `strip` would; done here so that the same base
 * gives the same bytes on each machine. Throws `Error` for a program whose symbols do not
 * come after all that is loaded.
 */
export function stripSymbols(program: Uint8Array): Uint8Array {
  const view = openElf(program, failedStrip);
  const sections = readSections(view, failedStrip);
  const dropped = sections.filter(({ name }) => symbolSections.includes(name));
  if (dropped.length !== symbolSections.length) {
    throw failedStrip(`no ${symbolSections.join(" and ")}`);
  }
  const start = Math.min(...dropped.map(({ offset }) => offset));
  if (endOfLoaded(view) > start) throw failedStrip("its symbols come before what is loaded");
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

/** Returns the end of what is loaded, as an offset in the file. */
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
  if (index < 0) throw failedStrip(`something else depends on ${section.name}`);
  return index;
}

function failedStrip(why: string): Error {
  return new Error(`Cannot strip the runtime base: ${why}`);
}
