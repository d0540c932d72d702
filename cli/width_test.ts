import assert from "node:assert/strict";
import { cut, widthOf } from "./width.ts";

Deno.test("cut() leaves what fits, and ends with … what does not", () => {
  const cases: [text: string, columns: number, expected: string][] = [
    ["", 0, ""],
    ["abc", 3, "abc"],
    ["abcd", 3, "ab…"],
    ["abcd", 1, "…"],
    ["abcd", 0, ""],
    ["abcd", -5, ""],
    ["├─ é│", 5, "├─ é│"],
    ["├─ éé│", 5, "├─ é…"],
    // An ideogram and an emoji take two columns; half of one is none.
    ["界界", 4, "界界"],
    ["界界", 3, "界…"],
    ["界界", 2, "…"],
    ["a😀b", 4, "a😀b"],
    ["a😀bc", 4, "a😀…"],
    ["a😀bc", 3, "a…"],
  ];
  for (const [text, columns, expected] of cases) {
    assert.equal(cut(text, columns), expected, `${text} in ${columns}`);
    assert.ok(widthOf(expected) <= Math.max(0, columns));
  }
});
