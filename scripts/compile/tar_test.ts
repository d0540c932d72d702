import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { gzipSync } from "node:zlib";

import { readTarGzEntry } from "./tar.ts";

const CONTENT = Buffer.from("the runtime base ".repeat(500));

Deno.test("readTarGzEntry() returns a file of an npm package", () => {
  const tgz = tgzOf([
    ["package/package.json", Buffer.from("{}")],
    ["package/denort", CONTENT],
  ]);

  const content = readTarGzEntry(tgz, "package/denort");

  assert.deepEqual(Buffer.from(content), CONTENT);
});

Deno.test("readTarGzEntry() refuses what it cannot read in full", () => {
  const tgz = tgzOf([["package/denort", CONTENT]]);
  const cut = gzipSync(tarOf([["package/denort", CONTENT]]).subarray(0, 700));

  assert.throws(() => readTarGzEntry(tgz, "package/tap"), /no such file in it/);
  assert.throws(() => readTarGzEntry(cut, "package/denort"), /damaged header/);
  assert.throws(
    () => readTarGzEntry(Buffer.from("garbage"), "package/denort"),
    /Cannot read package\/denort from the tar archive: /,
  );
});

function tgzOf(files: [name: string, content: Buffer][]): Buffer {
  return gzipSync(tarOf(files));
}

function tarOf(files: [name: string, content: Buffer][]): Buffer {
  const blocks = files.flatMap(([name, content]) => {
    const header = Buffer.alloc(512);
    header.write(name);
    header.write(content.length.toString(8).padStart(11, "0"), 124);
    header.write("0", 156);
    const padding = Buffer.alloc((512 - (content.length % 512)) % 512);
    return [header, content, padding];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}
