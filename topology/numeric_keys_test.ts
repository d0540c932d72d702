import assert from "node:assert/strict";
import { maximumNumericKeys } from "./json_reader.ts";
import { parseJson, writeJson } from "./json.ts";

/** Objects with so many keys each, of a kind whose hashes are alike. */
function objectsOf(...counts: number[]): string {
  const members = (count: number) => Array.from({ length: count }, (_, at) => `"${at * 65_536}":0`);
  return `[${counts.map((count) => `{${members(count).join(",")}}`).join(",")}]`;
}

Deno.test("parseJson() takes as many keys that are numbers as a document may have", () => {
  const text = objectsOf(maximumNumericKeys - 1, 1);
  assert.equal(writeJson(parseJson(text)).length, text.length);
});

Deno.test("parseJson() refuses very many keys that are numbers, in one object or in all of them", () => {
  for (const text of [objectsOf(maximumNumericKeys + 1), objectsOf(maximumNumericKeys, 1)]) {
    assert.throws(() => parseJson(text), {
      name: "SyntaxError",
      message: "Cannot read the document: it holds more than 10000 keys that are numbers",
    });
  }
});

Deno.test("parseJson() takes very many keys of other kinds", () => {
  const members = Array.from({ length: 3 * maximumNumericKeys }, (_, at) => [
    ...[`"k${at}"`, `"${at}.0"`, `"-${at}"`],
  ]).flat();
  const text = `{${members.map((key) => `${key}:0`).join(",")}}`;
  assert.equal(Object.keys(parseJson(text) as object).length, members.length);
});
