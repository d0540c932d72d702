import assert from "node:assert/strict";
import { FrameReader } from "./log_listener.ts";

/** Gives a reader the bytes in pieces of one length; returns the frames, and whether it closes. */
function read(text: string, pieceLength = text.length): [frames: string[], isClosed: boolean] {
  const frames: string[] = [];
  const reader = new FrameReader((frame) => frames.push(new TextDecoder().decode(frame)));
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length; at += pieceLength) {
    if (!reader.read(bytes.subarray(at, at + pieceLength))) return [frames, true];
  }
  return [frames, false];
}

Deno.test("FrameReader takes and refuses what the master's listener does", () => {
  const cases: [text: string, frames: string[], isClosed: boolean][] = [
    ["1 a2 bc", ["a", "bc"], false],
    ["2 é1 a", ["é", "a"], false],
    ["0000000001 a", ["a"], false],
    ["0 0 1 a", ["a"], false],
    ["3 a\nb", ["a\nb"], false],
    ["1 a5 half", ["a"], false],
    ["1 a12", ["a"], false],
    ["1 a\n1 b", ["a"], true],
    ["1 a 1 b", ["a"], true],
    ["1 a1\tb", ["a"], true],
    ["1 a-1 b", ["a"], true],
    ["00000000001 a", [], true],
    ["1 a12345678901", ["a"], true],
    ["<134>1 - h a - m -\n", [], true],
  ];
  for (const [text, frames, isClosed] of cases) {
    for (const pieceLength of [1, 2, 3, text.length + 1]) {
      assert.deepEqual(read(text, pieceLength), [frames, isClosed], text);
    }
  }
});
