import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { crc32, deflateRawSync, gzipSync } from "node:zlib";
import { readTarGzEntry, readZipEntry } from "./archive.ts";

const content = Buffer.from("the runtime base ".repeat(500));

Deno.test("readTarGzEntry() returns a file of an npm package", () => {
  const files = { "package/package.json": Buffer.from("{}"), "package/denort": content };
  assert.deepEqual(Buffer.from(readTarGzEntry(gzipSync(tarOf(files)), "package/denort")), content);
});

Deno.test("readTarGzEntry() rejects what it cannot read in full", () => {
  const tar = tarOf({ "package/denort": content });
  const cases: [tgz: Buffer, name: string, why: RegExp][] = [
    [gzipSync(tar), "package/tap", /no such file in it/],
    [gzipSync(tar.subarray(0, 700)), "package/denort", /damaged header/],
    [
      Buffer.from("garbage"),
      "package/denort",
      /Cannot read package\/denort from the tar archive: /,
    ],
  ];
  for (const [tgz, name, why] of cases) assert.throws(() => readTarGzEntry(tgz, name), why);
});

function tarOf(files: Readonly<Record<string, Buffer>>): Buffer {
  const blocks = Object.entries(files).flatMap(([name, content]) => {
    const header = Buffer.alloc(512);
    header.write(name);
    header.write(content.length.toString(8).padStart(11, "0"), 124);
    header.write("0", 156);
    return [header, content, Buffer.alloc(-content.length & 511)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

Deno.test("readZipEntry() returns a deflated and a stored entry", () => {
  const zip = zipOf([
    { name: "README", method: 0, content: Buffer.from("read me") },
    { name: "denort", method: 8, content },
  ]);
  assert.deepEqual(Buffer.from(readZipEntry(zip, "denort")), content);
  assert.equal(Buffer.from(readZipEntry(zip, "README")).toString(), "read me");
});

Deno.test("readZipEntry() rejects what it cannot read in full", () => {
  const zip = zipOf([{ name: "denort", method: 8, content }]);
  const entry = zip.indexOf("PK\x01\x02");
  const changed = (at: number, byte: number) => Buffer.from(zip.with(at, byte));
  const cases: [name: string, input: Uint8Array, why: RegExp][] = [
    ["nothing", new Uint8Array(), /no directory at its end/],
    ["garbage", Buffer.alloc(99_999, 7), /no directory at its end/],
    ["a cut archive", zip.subarray(0, -1), /no directory at its end/],
    ["a missing start", zip.subarray(40), /no directory entry|no local header|bounds/],
    ["another name", changed(entry + 46, 0x44), /no such file/],
    ["another method", changed(entry + 10, 12), /unknown compression 12/],
    ["another CRC-32", changed(entry + 16, ~zip[entry + 16]!), /CRC-32/],
    ["another size", changed(entry + 24, ~zip[entry + 24]!), /bytes|[Ll]ength|larger/],
    ["a damaged content", changed(40, 0xff), /invalid|CRC-32/],
    ["no entries", changed(zip.length - 12, 0), /no such file/],
  ];
  for (const [name, input, why] of cases) {
    assert.throws(() => readZipEntry(input, "denort"), why, name);
    assert.throws(() => readZipEntry(input, "denort"), /Cannot read denort/, name);
  }
});

function zipOf(entries: { name: string; method: number; content: Buffer }[]): Buffer {
  let locals = Buffer.alloc(0);
  let directory = Buffer.alloc(0);
  for (const { name, method, content } of entries) {
    const packed = method === 8 ? deflateRawSync(content) : content;
    // From the method to the lengths, both headers hold the same 20 bytes.
    const shared = Buffer.alloc(20);
    shared.writeUInt16LE(method, 0);
    shared.writeUInt32LE(crc32(content), 6);
    shared.writeUInt32LE(packed.length, 10);
    shared.writeUInt32LE(content.length, 14);
    shared.writeUInt16LE(name.length, 18);
    const entry = Buffer.alloc(46);
    entry.write("PK\x01\x02", "latin1");
    shared.copy(entry, 10);
    entry.writeUInt32LE(locals.length, 42);
    directory = Buffer.concat([directory, entry, Buffer.from(name)]);
    const local = Buffer.alloc(30);
    local.write("PK\x03\x04", "latin1");
    shared.copy(local, 8);
    locals = Buffer.concat([locals, local, Buffer.from(name), packed]);
  }
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(locals.length, 16);
  return Buffer.concat([locals, directory, end]);
}
