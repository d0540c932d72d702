import assert from "node:assert/strict";
import { Narrator, wrap } from "./narrator.ts";

Deno.test("wrap() breaks at spaces, and in a word that is longer than a line", () => {
  const cases: [string, string[]][] = [
    ["", [""]],
    ["one two", ["one two"]],
    ["one two three", ["one two", "three"]],
    ["abcdefghijk", ["abcdefgh", "ijk"]],
    ["a abcdefghijk b", ["a", "abcdefgh", "ijk b"]],
    ["abcdefgh", ["abcdefgh"]],
  ];
  for (const [text, lines] of cases) assert.deepEqual(wrap(text, 8), lines, text);
});

function narrate(coloured: boolean, tell: (narrator: Narrator) => void): string {
  let told = "";
  tell(new Narrator({ write: (text) => told += text, width: 40, coloured }));
  return told;
}

Deno.test("Narrator.say() aligns lines and details below the text", () => {
  const told = narrate(
    false,
    (it) => it.say("host", "one two three four five", [["six", "seven"]]),
  );
  const [first, ...below] = told.split("\n");
  assert.match(first!, /^ *\d+\.\d s {2}host {4}one two three four$/);
  assert.deepEqual(below, [`${" ".repeat(19)}five`, `${" ".repeat(19)}six         seven`, ""]);
});

Deno.test("Narrator.show() keeps the places in a line, and cuts it off at the end", () => {
  const margin = " ".repeat(19);
  const told = narrate(false, (it) => it.show(["  ├─ a  b", "0123456789 123456789 12345"]));
  assert.equal(told, `${margin}  ├─ a  b\n${margin}0123456789 123456789 \n`);
});

Deno.test("Narrator lets no control character from outside through", () => {
  const told = narrate(false, (it) => {
    it.say("agent", "a\x1b[2Jb", [["c", "d\re\nf"]]);
    it.show(["g\x1b[2J"]);
  });
  // deno-lint-ignore no-control-regex
  assert.doesNotMatch(told, /[\x00-\x09\x0b-\x1f]/);
  assert.equal(told.split("\n").length, 4);
});

Deno.test("Narrator colours only when told to", () => {
  const tell = (it: Narrator) => {
    it.title("title");
    it.introduce({ host: "h", agent: "a", master: "m" });
    it.say("master", "text");
  };
  assert.ok(!narrate(false, tell).includes("\x1b"));
  const coloured = narrate(true, tell);
  // deno-lint-ignore no-control-regex
  const stripped = coloured.replace(/\x1b\[\d+m/g, "").replace(/\d+\.\d s/, "");
  assert.notEqual(coloured, stripped);
  assert.equal(stripped, narrate(false, tell).replace(/\d+\.\d s/, ""));
});
