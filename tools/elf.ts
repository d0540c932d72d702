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
  const view = openElf(program);
  const sections = readSections(view);
  const added = sections.filter((s) => ADDED_SECTIONS.includes(s.name));
  if (added.length !== ADDED_SECTIONS.length) {
    throw unusable(`no sections ${ADDED_SECTIONS.join(" and ")} in it`);
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
  if (end > addedAt) throw unusable("the original section table is cut short");

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
export function openElf(program: Uint8Array): DataView {
  const magic = [0x7f, 0x45, 0x4c, 0x46, /* 64-bit */ 2, /* little-endian */ 1];
  if (
    program.length < HEADER_LENGTH + PROGRAM.length ||
    magic.some((byte, index) => program[index] !== byte)
  ) {
    throw unusable("it is not a 64-bit little-endian ELF program");
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
export function readSections(view: DataView): Section[] {
  const table = Number(view.getBigUint64(HEADER.sectionTable, true));
  const count = view.getUint16(HEADER.sectionCount, true);
  const end = table + count * SECTION.length;
  if (end > view.byteLength) {
    const where = `its section table ends at byte ${end}, the file at byte ${view.byteLength}`;
    throw unusable(`it is cut short: ${where}`);
  }
  const nameSection = view.getUint16(HEADER.nameSection, true);
  if (nameSection >= count) throw unusable("it has no section names");
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
  const length = Math.max(0, Math.min(32, view.byteLength - start));
  const bytes = new Uint8Array(view.buffer, view.byteOffset + (length && start), length);
  return new TextDecoder().decode(bytes).split("\0", 1)[0]!;
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
  throw unusable("no original section table in it");
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
    throw unusable(`no original program table at byte ${HEADER_LENGTH}`);
  }
  return size / PROGRAM.length;
}

function unusable(why: string): Error {
  return new Error(`Cannot use the program: ${why}`);
}

/** The names of functions for debuggers: a fifth of the runtime base, never loaded. */
const symbolSections = [".symtab", ".strtab"];

/**
 * Returns the runtime base without its symbols, as `strip` would; done here so that the same base
 * gives the same bytes on each machine. Throws `Error` for a program whose symbols do not
 * come after all that is loaded.
 */
export function stripSymbols(program: Uint8Array): Uint8Array {
  const view = openElf(program);
  const sections = readSections(view);
  const dropped = sections.filter(({ name }) => symbolSections.includes(name));
  if (dropped.length !== symbolSections.length) {
    throw unusable(`no ${symbolSections.join(" and ")}`);
  }
  const start = Math.min(...dropped.map(({ offset }) => offset));
  if (endOfLoaded(view) > start) throw unusable("its symbols come before what is loaded");
  const kept = sections.filter((section) => !dropped.includes(section));
  const aligned = (length: number) => Math.ceil(length / 8) * 8;
  const moved = kept.filter(({ type, offset }) => type !== SHT_NOBITS && offset >= start);
  const tableAt = moved.reduce((end, { size }) => aligned(end + size), aligned(start));
  const stripped = new Uint8Array(tableAt + kept.length * SECTION.length);
  const result = new DataView(stripped.buffer);
  stripped.set(program.subarray(0, start));
  let end = aligned(start);
  for (const [index, section] of kept.entries()) {
    const at = tableAt + index * SECTION.length;
    stripped.set(program.subarray(section.header, section.header + SECTION.length), at);
    const link = result.getUint32(at + SECTION.link, true);
    result.setUint32(at + SECTION.link, indexOf(sections[link]!, kept), true);
    if (!moved.includes(section)) continue;
    stripped.set(program.subarray(section.offset, section.offset + section.size), end);
    result.setBigUint64(at + SECTION.offset, BigInt(end), true);
    end = aligned(end + section.size);
  }
  const names = sections[view.getUint16(HEADER.nameSection, true)]!;
  result.setBigUint64(HEADER.sectionTable, BigInt(tableAt), true);
  result.setUint16(HEADER.sectionCount, kept.length, true);
  result.setUint16(HEADER.nameSection, indexOf(names, kept), true);
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
  if (index < 0) throw unusable(`something else depends on ${section.name}`);
  return index;
}
