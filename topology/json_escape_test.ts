import assert from "node:assert/strict";
import { parseJson, writeJson } from "./mod.ts";

Deno.test("writeJson() escapes each unit of a text however many follow one another", () => {
  for (const [length, unit] of [[999, "é"], [1000, "☃"], [1001, "\x7f"], [2500, "😀"]] as const) {
    const text = `a${unit.repeat(length)}"b`;
    const escaped = [...Array(unit.length).keys()]
      .map((at) => `\\u${unit.charCodeAt(at).toString(16).padStart(4, "0")}`).join("");
    const json = writeJson(text);
    assert.equal(json, `"a${escaped.repeat(length)}\\"b"`);
    assert.equal(parseJson(json), text);
  }
});
