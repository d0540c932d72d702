import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { openElf, readSections, recoverBase, stripSymbols } from "./elf.ts";

interface Section {
  name: string;
  type: number;
  offset: number;
  size: number;
}

const EMPTY = { name: "", type: 0, offset: 0, size: 0 };
const TEXT = { name: ".text", type: 1, offset: 176, size: 37 };
const NAMES = { name: ".shstrtab", type: 3, offset: 213, size: 32 };

Deno.test("recoverBase() gives back the bytes from before deno compile", () => {
  const base = makeBase();

  assert.deepEqual(recoverBase(compileOnto(base)), base);
});

Deno.test("recoverBase() takes a view into a larger buffer", () => {
  const program = compileOnto(makeBase());
  const view = Buffer.concat([Buffer.alloc(24), program]).subarray(24);

  assert.deepEqual(recoverBase(view), makeBase());
  assert.deepEqual(new Uint8Array(view), program, "the input is left alone");
});

Deno.test("recoverBase() refuses what is no compiled program", async (t) => {
  const program = compileOnto(makeBase());
  const changed = (at: number, byte: number) => program.with(at, byte);
  const cases: [name: string, input: Uint8Array, why: RegExp][] = [
    ["nothing", new Uint8Array(), /not a 64-bit little-endian ELF program/],
    ["text", new TextEncoder().encode("garbage ".repeat(99)), /not a 64-bit/],
    ["a 32-bit program", changed(4, 1), /not a 64-bit/],
    ["the base itself", makeBase(), /no sections .note.sui and .sui.phdrs/],
    ["a cut file", program.slice(0, -1), /it is cut short: .* at byte/],
    ["a short cut file", program.slice(0, 130), /it is cut short/],
    ["a bad name section", changed(62, 99), /no section names/],
    ["other program headers", changed(64, 1), /no original program table/],
    ["other section headers", changed(256, 1), /no original section table/],
  ];
  for (const [name, input, why] of cases) {
    await t.step(name, () => {
      assert.throws(() => recoverBase(input), why);
      assert.throws(() => recoverBase(input), /^Error: Cannot recover the/);
    });
  }
});

/** The smallest file with both tables: header, two program headers, two sections. */
function makeBase(): Uint8Array {
  const file = new Uint8Array(248 + 3 * 64);
  writeHeader(file, { programs: 64, programCount: 2, sections: 248, count: 3 });
  writeProgramTable(file, 64, 2);
  file.fill(0x90, TEXT.offset, TEXT.offset + TEXT.size);
  writeSections(file, 248, NAMES.offset, [EMPTY, TEXT, NAMES]);
  return file;
}

/** Does to a base what `deno compile` does, with an empty program of 50 bytes. */
function compileOnto(base: Uint8Array): Uint8Array {
  const added = 4096;
  const names = added + 4 * 56 + 56;
  const sections = names + 64;
  const file = new Uint8Array(sections + 5 * 64);
  file.set(base);
  writeHeader(file, {
    programs: added,
    programCount: 4,
    sections,
    count: 5,
  });
  writeProgramTable(file, added, 4);
  writeSections(file, sections, names, [
    EMPTY,
    TEXT,
    { ...NAMES, offset: names, size: 64 },
    { name: ".sui.phdrs", type: 1, offset: added, size: 4 * 56 },
    { name: ".note.sui", type: 1, offset: added + 4 * 56, size: 50 },
  ]);
  return file;
}

function writeHeader(
  file: Uint8Array,
  tables: {
    programs: number;
    programCount: number;
    sections: number;
    count: number;
  },
): void {
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setBigUint64(32, BigInt(tables.programs), true);
  view.setBigUint64(40, BigInt(tables.sections), true);
  view.setUint16(56, tables.programCount, true);
  view.setUint16(60, tables.count, true);
  view.setUint16(62, 2, true);
}

/** Its first entry describes the table itself; the others do not matter here. */
function writeProgramTable(file: Uint8Array, at: number, count: number): void {
  const view = new DataView(file.buffer);
  view.setUint32(at, 6, true);
  view.setBigUint64(at + 8, BigInt(at), true);
  view.setBigUint64(at + 32, BigInt(count * 56), true);
}

function writeSections(
  file: Uint8Array,
  table: number,
  names: number,
  sections: Section[],
): void {
  const view = new DataView(file.buffer);
  let name = names;
  sections.forEach((section, index) => {
    const at = table + index * 64;
    view.setUint32(at, name - names, true);
    view.setUint32(at + 4, section.type, true);
    view.setBigUint64(at + 24, BigInt(section.offset), true);
    view.setBigUint64(at + 32, BigInt(section.size), true);
    file.set(new TextEncoder().encode(section.name), name);
    name += section.name.length + 1;
  });
}

const failed = (why: string) => new Error(why);
const names = "\0.text\0.symtab\0.strtab\0.shstrtab\0";
const headerLength = 64;

/** The fields of a section header that matter here. */
interface Header {
  name: string;
  type: number;
  offset: number;
  size: number;
  link?: number;
}

const text: Header = { name: ".text", type: 1, offset: 128, size: 40 };
const sections: Header[] = [
  { name: "", type: 0, offset: 0, size: 0 },
  text,
  { name: ".symtab", type: 2, offset: 168, size: 48, link: 3 },
  { name: ".strtab", type: 3, offset: 216, size: 21 },
  { name: ".shstrtab", type: 3, offset: 237, size: names.length },
];

/** A small program: one loaded part, which ends so many bytes into the file, and these sections. */
function program(headers: readonly Header[], { loaded = 168 } = {}): Uint8Array {
  const table = 280;
  const file = new Uint8Array(table + headers.length * 64);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1]);
  view.setBigUint64(32, BigInt(headerLength), true);
  view.setBigUint64(40, BigInt(table), true);
  view.setUint16(56, 1, true);
  view.setUint16(60, headers.length, true);
  view.setUint16(62, headers.findIndex(({ name }) => name === ".shstrtab"), true);
  view.setBigUint64(headerLength + 32, BigInt(loaded), true);
  file.fill(0x90, text.offset, text.offset + text.size);
  for (const [index, { name, type, offset, size, link = 0 }] of headers.entries()) {
    const at = table + index * 64;
    view.setUint32(at, names.indexOf(`\0${name}\0`) + 1, true);
    view.setUint32(at + 4, type, true);
    view.setBigUint64(at + 24, BigInt(offset), true);
    view.setBigUint64(at + 32, BigInt(size), true);
    view.setUint32(at + 40, link, true);
    if (name === ".shstrtab") file.set(new TextEncoder().encode(names), offset);
  }
  return file;
}

Deno.test("stripSymbols() takes the symbols away, and nothing that is loaded", () => {
  const whole = program(sections);
  const stripped = stripSymbols(whole);
  const left = readSections(openElf(stripped, failed), failed);
  assert.deepEqual(left.map(({ name }) => name), ["", ".text", ".shstrtab"]);
  assert.deepEqual(stripped.subarray(headerLength, 168), whole.subarray(headerLength, 168));
  assert.equal(stripped.length, 168 + 40 + 3 * 64);
  assert.deepEqual(stripSymbols(whole), stripped);
});

Deno.test("stripSymbols() refuses a program that it would damage", () => {
  const cases: [file: Uint8Array, why: RegExp][] = [
    [new Uint8Array(200), /not a 64-bit little-endian ELF program/],
    [program(sections.filter(({ name }) => name !== ".symtab")), /no \.symtab and \.strtab/],
    [program(sections, { loaded: 200 }), /its symbols come before what is loaded/],
    [program(sections.with(1, { ...text, link: 2 })), /something else depends on \.symtab/],
  ];
  for (const [file, why] of cases) {
    assert.throws(() => stripSymbols(file), why);
    assert.throws(() => stripSymbols(file), /^Error: Cannot strip the runtime base: /);
  }
});
