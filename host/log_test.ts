import assert from "node:assert/strict";
import { createLog, firstNames, type Level, levels, lineStart } from "./log.ts";

function lineOf(level: Level, message: string, fields?: Record<string, string | number>): string {
  const lines: string[] = [];
  createLog((line) => lines.push(line))(level, message, fields);
  assert.equal(lines.length, 1);
  return lines[0]!;
}

Deno.test("createLog() writes one logfmt line", () => {
  assert.equal(lineOf("info", "started"), "level=info msg=started\n");
  assert.equal(
    lineOf("warn", "the master is gone", { subject: "master", failures: 4, at: "10.0.0.1:8770" }),
    'level=warn msg="the master is gone" subject=master failures=4 at=10.0.0.1:8770\n',
  );
});

Deno.test("createLog() quotes ambiguous values", () => {
  const cases: [value: string, written: string][] = [
    ["", '""'],
    ["a b", '"a b"'],
    ["a=b", '"a=b"'],
    ['"', '"\\""'],
    ["\\", '"\\\\"'],
    ["é😀", '"é😀"'],
    ["a,b:c/d@e+f-g_h.i", "a,b:c/d@e+f-g_h.i"],
  ];
  for (const [value, written] of cases) {
    assert.equal(
      lineOf("error", value, { key: value }),
      `level=error msg=${written} key=${written}\n`,
    );
  }
});

Deno.test("createLog() replaces control characters, and keeps to one line", () => {
  const controls = Array.from({ length: 0xa0 }, (_, code) => String.fromCharCode(code))
    .filter((it) => it < " " || it >= "\x7f");
  const marks = [..."\u061c\u200e\u200f\u2028\u2029\u202e\u2066\u2069"];
  const others = [...marks, "\r\n", "\x1b[31m"];
  for (const control of [...controls, ...others]) {
    const line = lineOf("info", `a${control}b`, { key: `c${control}level=error` });
    assert.doesNotMatch(line.slice(0, -1), /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/u);
    assert.match(line, /^level=info msg="a.*b" key="c.*level=error"\n$/);
  }
});

Deno.test("createLog() makes no text of what is below its level", () => {
  let level: Level = "info";
  const written: string[] = [];
  const log = createLog((_, level) => written.push(level), () => level);
  const all = (text: unknown) => {
    written.length = 0;
    for (const it of levels) log(it, "x", { text: text as string });
    return written.splice(0);
  };
  const expected = { error: 1, warn: 2, info: 3, debug: 4 };
  for (level of levels) assert.deepEqual(all("a"), levels.slice(0, expected[level]));
  level = "error";
  let texts = 0;
  all({ toString: () => `${++texts}` });
  assert.equal(texts, 1);
});

Deno.test("lineStart() has a priority for the journal, else the time in UTC", () => {
  assert.deepEqual(levels.map((it) => lineStart(it, true)), ["<3>", "<4>", "<6>", "<7>"]);
  for (const level of levels) {
    assert.match(lineStart(level, false), /^time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z $/);
  }
});

Deno.test("firstNames() lists three names, and how many more there are", () => {
  assert.equal(firstNames(["a"]), "a");
  assert.equal(firstNames(["a", "b", "c"]), "a, b, c");
  assert.equal(firstNames(["a", "b", "c", "d", "e"]), "a, b, c and 2 more");
});
