import assert from "node:assert/strict";
import { LineSplitter } from "./line_splitter.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);

Deno.test("LineSplitter cuts lines wherever the parts begin and end, in the middle of a letter too", () => {
  const text = '{"name":"dück"}\n\n{"name":"🦆"}\nfür\n';
  const bytes = bytesOf(text);
  for (let size = 1; size <= bytes.length; size++) {
    const lines: (string | null)[] = [];
    const splitter = new LineSplitter((line) => lines.push(line));
    // One buffer for all parts, as when they are read.
    const buffer = new Uint8Array(size);
    for (let at = 0; at < bytes.length; at += size) {
      const part = bytes.subarray(at, at + size);
      buffer.set(part);
      splitter.append(buffer.subarray(0, part.length));
    }
    assert.deepEqual(lines, ['{"name":"dück"}', '{"name":"🦆"}', "für"]);
  }
});

Deno.test("LineSplitter tells of a line that is too long, keeps nothing of it, and goes on", () => {
  const lines: (string | null)[] = [];
  const splitter = new LineSplitter((line) => lines.push(line), 10);
  splitter.append(bytesOf("0123456789\n01234567890\nshort\n"));
  const part = bytesOf("x".repeat(7));
  for (let parts = 0; parts < 1_000; parts++) splitter.append(part);
  splitter.append(bytesOf("\nlast\nnot ended"));
  assert.deepEqual(lines, ["0123456789", null, "short", null, "last"]);
});

Deno.test("LineSplitter takes no more memory for a line that comes in single bytes", () => {
  const lines: (string | null)[] = [];
  const splitter = new LineSplitter((line) => lines.push(line));
  const before = Deno.memoryUsage().heapUsed;
  const byte = bytesOf("x");
  for (let bytes = 0; bytes < 2 ** 18; bytes++) splitter.append(byte);
  // A piece for each byte took 60 MB; what is garbage by now is far less.
  const more = Deno.memoryUsage().heapUsed - before;
  assert.ok(more < 30e6, `${more / 1e6} MB`);
  splitter.append(bytesOf("\nshort\n"));
  assert.deepEqual(lines, ["x".repeat(2 ** 18), "short"]);
});
