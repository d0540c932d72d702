import assert from "node:assert/strict";
import { createLog, type Level } from "./log.ts";

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
  const others = ["\r\n", "\u2028", "\u2029", "\u202e", "\u2066", "\u2069", "\x1b[31m"];
  for (const control of [...controls, ...others]) {
    const line = lineOf("info", `a${control}b`, { key: `c${control}level=error` });
    // deno-lint-ignore no-control-regex
    assert.doesNotMatch(line.slice(0, -1), /[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/);
    assert.match(line, /^level=info msg="a.*b" key="c.*level=error"\n$/);
  }
});
