import assert from "node:assert/strict";
import { openElf, readSections } from "./elf.ts";
import { stripSymbols } from "./strip.ts";

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
