import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { openElf, readSections, recoverBase, stripSymbols } from "./elf.ts";

/** The fields of a section header that matter here. */
interface Header {
  name: string;
  type: number;
  offset: number;
  size: number;
  link?: number;
}

const empty: Header = { name: "", type: 0, offset: 0, size: 0 };

/** Where the tables are; `loaded` is the size of the one part that is loaded, from byte 0. */
interface Layout {
  sectionTable: number;
  programTable?: number;
  programCount?: number;
  loaded?: number;
}

/** Writes a small program over `base`. Its first program header describes the table itself. */
function elf(
  sections: readonly Header[],
  { sectionTable, programTable = 64, programCount = 1, loaded }: Layout,
  base: Uint8Array = new Uint8Array(),
): Uint8Array {
  const file = new Uint8Array(sectionTable + sections.length * 64);
  const view = new DataView(file.buffer);
  file.set(base);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setBigUint64(32, BigInt(programTable), true);
  view.setBigUint64(40, BigInt(sectionTable), true);
  view.setUint16(56, programCount, true);
  view.setUint16(60, sections.length, true);
  view.setUint16(62, sections.findIndex(({ name }) => name === ".shstrtab"), true);
  view.setUint32(programTable, 6, true);
  view.setBigUint64(programTable + 8, BigInt(loaded === undefined ? programTable : 0), true);
  view.setBigUint64(programTable + 32, BigInt(loaded ?? programCount * 56), true);
  const names = sections.find(({ name }) => name === ".shstrtab")!.offset;
  let name = names;
  for (const [index, section] of sections.entries()) {
    const at = sectionTable + index * 64;
    view.setUint32(at, name - names, true);
    view.setUint32(at + 4, section.type, true);
    view.setBigUint64(at + 24, BigInt(section.offset), true);
    view.setBigUint64(at + 32, BigInt(section.size), true);
    view.setUint32(at + 40, section.link ?? 0, true);
    file.set(new TextEncoder().encode(section.name), name);
    name += section.name.length + 1;
    if (section.name === ".text") file.fill(0x90, section.offset, section.offset + section.size);
  }
  return file;
}

const baseText: Header = { name: ".text", type: 1, offset: 176, size: 37 };
const baseNames: Header = { name: ".shstrtab", type: 3, offset: 213, size: 32 };
/** The smallest program with both tables. */
const base = elf([empty, baseText, baseNames], { sectionTable: 248, programCount: 2 });

/** What `deno compile` makes of the base, with an empty program of 50 bytes. */
const programTable = 4096;
const note = programTable + 4 * 56;
const compiled = elf(
  [
    empty,
    baseText,
    { ...baseNames, offset: note + 56, size: 64 },
    { name: ".sui.phdrs", type: 1, offset: programTable, size: 4 * 56 },
    { name: ".note.sui", type: 1, offset: note, size: 50 },
  ],
  { sectionTable: note + 56 + 64, programTable, programCount: 4 },
  base,
);

Deno.test("recoverBase() returns the bytes from before deno compile", () => {
  const view = Buffer.concat([Buffer.alloc(24), compiled]).subarray(24);
  assert.deepEqual(recoverBase(view), base);
  assert.deepEqual(new Uint8Array(view), compiled, "the input was changed");
});

Deno.test("recoverBase() rejects what is no compiled program", () => {
  const cases: [name: string, input: Uint8Array, why: RegExp][] = [
    ["nothing", new Uint8Array(), /not a 64-bit little-endian ELF program/],
    ["text", new TextEncoder().encode("garbage ".repeat(99)), /not a 64-bit/],
    ["a 32-bit program", compiled.with(4, 1), /not a 64-bit/],
    ["the base itself", base, /no sections .note.sui and .sui.phdrs/],
    ["a cut file", compiled.slice(0, -1), /it is cut short: .* at byte/],
    ["a short cut file", compiled.slice(0, 130), /it is cut short/],
    ["a bad name section", compiled.with(62, 99), /no section names/],
    ["other program headers", compiled.with(64, 1), /no original program table/],
    ["other section headers", compiled.with(256, 1), /no original section table/],
  ];
  for (const [name, input, why] of cases) {
    assert.throws(() => recoverBase(input), why, name);
    assert.throws(() => recoverBase(input), /^Error: Cannot use the program: /, name);
  }
});

const text: Header = { name: ".text", type: 1, offset: 128, size: 40 };
const sections: Header[] = [
  empty,
  text,
  { name: ".symtab", type: 2, offset: 168, size: 48, link: 3 },
  { name: ".strtab", type: 3, offset: 216, size: 21 },
  { name: ".shstrtab", type: 3, offset: 237, size: 33 },
];
const layout = { sectionTable: 280, loaded: 168 };

Deno.test("stripSymbols() removes the symbols, and nothing that is loaded", () => {
  const whole = elf(sections, layout);
  const stripped = stripSymbols(whole);
  const left = readSections(openElf(stripped));
  assert.deepEqual(left.map(({ name }) => name), ["", ".text", ".shstrtab"]);
  assert.deepEqual(stripped.subarray(64, 168), whole.subarray(64, 168));
  assert.equal(stripped.length, 168 + 40 + 3 * 64);
  assert.deepEqual(stripSymbols(whole), stripped);
});

Deno.test("stripSymbols() rejects a program that it would damage", () => {
  const cases: [file: Uint8Array, why: RegExp][] = [
    [new Uint8Array(200), /not a 64-bit little-endian ELF program/],
    [elf(sections.filter(({ name }) => name !== ".symtab"), layout), /no \.symtab and \.strtab/],
    [elf(sections, { ...layout, loaded: 200 }), /its symbols come before what is loaded/],
    [elf(sections.with(1, { ...text, link: 2 }), layout), /something else depends on \.symtab/],
  ];
  for (const [file, why] of cases) {
    assert.throws(() => stripSymbols(file), why);
    assert.throws(() => stripSymbols(file), /^Error: Cannot use the program: /);
  }
});
