import assert from "node:assert/strict";
import {
  compareCodePoints,
  maximumNumericKeys,
  maximumValues,
  parseJson,
  writeJson,
} from "./json.ts";

const rewrite = (text: string) => writeJson(parseJson(text));

Deno.test("parseJson() and writeJson() keep every number to the letter", () => {
  const numbers = "0 -0 -1 12345678901234567890123456789012345678901234567890 " +
    "1.0 1.50 -0.0 1e2 1E+05 123e-7 1e400 5e-324 0.1000000000000000055511151231257827";
  const text = `[${numbers.split(" ").join(",")}]`;
  assert.equal(rewrite(text), text);
});

Deno.test("parseJson() accepts white space, escapes and literals as JSON has them", () => {
  const cases: [text: string, expected: string][] = [
    [
      ' \t\r\n{ "a" : [ 1 , null ,true, false ] , "b" : { } } \n',
      '{"a":[1,null,true,false],"b":{}}',
    ],
    ['"\\u0041\\/\\"\\\\\\b\\f\\n\\r\\t"', '"A/\\"\\\\\\b\\f\\n\\r\\t"'],
    ['"ends with a backslash\\\\"', '"ends with a backslash\\\\"'],
    ['["\\\\","\\\\\\"",""]', '["\\\\","\\\\\\"",""]'],
    ["7", "7"],
    ["[[],{}]", "[[],{}]"],
    ['{"a":[1],"a":{"b":2},"a":3}', '{"a":3}'],
    ['{"a":3,"\\u0061":[4]}', '{"a":[4]}'],
    ['{"__proto__":{"q":1},"constructor":2}', '{"__proto__":{"q":1},"constructor":2}'],
  ];
  for (const [text, expected] of cases) assert.equal(rewrite(text), expected, text);
});

Deno.test("parseJson() keeps keys with escapes apart, unlike V8 15.0", () => {
  assert.equal(
    rewrite('[{"b":1,"a\\\\":2},{"b":1,"a\\n":2},{"b":1,"a\\"":2}]'),
    '[{"a\\\\":2,"b":1},{"a\\n":2,"b":1},{"a\\"":2,"b":1}]',
  );
});

Deno.test("parseJson() rejects what is not JSON", () => {
  const texts = [
    ..."{ } [ ] , : {] [1,] [,1] [1,,2] {,} {1:2} {null:1} {}{} []] {}x".split(" "),
    ...["", " ", "[1 2]", "{} {}", "1 2", "\ufeff{}", "\u00a01", "\v1", "// no\n1"],
    ...['{"a"}', '{"a":}', '{"a" 1}', '{"a":1,}', '{"a":1 "b":2}', "{'a':1}", "{a:1}"],
    ..."01 -01 +1 .5 1. 1.e2 1e 1e+ - -a 0x10 1_0 --1 NaN Infinity -Infinity".split(" "),
    ..."nul True undefined nullnull truefalse".split(" "),
    ...['"', '"\\"', '"a\nb"', '"\x00"', '"\\x41"', '"\\u12"', '"\\u12g4"', '"\\u{41}"', '"\\'],
    ...["\"\\'", '["\\q"]', '{"\\q":1}', '{"\n":1}'],
  ];
  for (const text of texts) {
    assert.throws(() => parseJson(text), SyntaxError, JSON.stringify(text));
  }
});

Deno.test("parseJson() names the wrong place and repeats no content", () => {
  const cases: [text: string, place: string][] = [
    ['{"password":"hunter2" "x":1}', " at character 23"],
    ['{"password":"hunter2\\q"}', " at character 13"],
    ['{"password":"hunter2"', ": it ends too early"],
  ];
  for (const [text, place] of cases) {
    const message = `Cannot read the document: it is not valid JSON${place}`;
    assert.throws(() => parseJson(text), { name: "SyntaxError", message });
  }
});

Deno.test("parseJson() and writeJson() take 256 levels and refuse the 257th", () => {
  const message = "Cannot read the document: it nests deeper than 256 levels";
  for (const [open, close] of [["[", "]"], ['{"a":', "}"]] as const) {
    const nested = (depth: number) =>
      open.repeat(depth) + (open === "[" ? "" : "1") + close.repeat(depth);
    assert.equal(rewrite(nested(256)), nested(256));
    assert.throws(() => parseJson(nested(257)), { name: "SyntaxError", message });
    assert.throws(() => parseJson(open.repeat(1_000_000)), { message });
    assert.throws(() => writeJson([parseJson(nested(256))]), { message });
  }
});

Deno.test("writeJson() writes ASCII, short escapes, lower-case hex", () => {
  const cases: [text: string, expected: string][] = [
    ['"\\u0008\\u000c\\u000a\\u000d\\u0009\\u0022\\u005c"', '"\\b\\f\\n\\r\\t\\"\\\\"'],
    ['"\\u0000\\u000b\\u001F\\u0020~"', '"\\u0000\\u000b\\u001f ~"'],
    ['"\x7f\x80é\u2028\uFFFF"', '"\\u007f\\u0080\\u00e9\\u2028\\uffff"'],
    ['"/\\/"', '"//"'],
    ['"😀"', '"\\ud83d\\ude00"'],
    ['"\\uD83D"', '"\\ud83d"'],
    ['"\\uDE00\\uD83D"', '"\\ude00\\ud83d"'],
  ];
  for (const [text, expected] of cases) assert.equal(rewrite(text), expected);
});

Deno.test("writeJson() sorts keys by code point at every depth", () => {
  assert.equal(
    rewrite('[{"b":1,"a":{"10":1,"9":2,"-1":3,"a":4,"A":5,"":6}},3,1,2]'),
    '[{"a":{"":6,"-1":3,"10":1,"9":2,"A":5,"a":4},"b":1},3,1,2]',
  );
  assert.equal(
    rewrite('{"😀":1,"\\uffff":2,"\\ue000":3,"\\ud83d":4,"\\ud83d\\ude00a":5,"\\ude00":6,"z":7}'),
    '{"z":7,"\\ud83d":4,"\\ude00":6,"\\ue000":3,"\\uffff":2,"\\ud83d\\ude00":1,"\\ud83d\\ude00a":5}',
  );
});

Deno.test("compareCodePoints() orders as the sequences of code points are ordered", () => {
  const pieces = ["", "a", "b", "\ud83d", "\ude00", "😀", "😁", "\ue000", "\uffff", "\u{10ffff}"];
  const texts = pieces.flatMap((a) => pieces.flatMap((b) => [a + b, a + b + "a", "a" + a + b]));
  const points = (text: string) => [...text].map((it) => it.codePointAt(0)!);
  const expected = (a: string, b: string) => {
    const [left, right] = [points(a), points(b)];
    const at = left.findIndex((point, index) => point !== right[index]);
    return at < 0 ? left.length - right.length : left[at]! - (right[at] ?? -1);
  };
  for (const a of texts) {
    for (const b of texts) {
      assert.equal(
        Math.sign(compareCodePoints(a, b)),
        Math.sign(expected(a, b)),
        JSON.stringify([a, b]),
      );
    }
  }
});

Deno.test("parseJson() rejects a document of very many values", () => {
  const listOf = (count: number) => `[${Array(count).fill("0").join(",")}]`;
  assert.equal((parseJson(listOf(maximumValues - 1)) as unknown[]).length, maximumValues - 1);
  assert.throws(() => parseJson(listOf(maximumValues)), {
    name: "SyntaxError",
    message: "Cannot read the document: it holds more than 350000 values",
  });
});

Deno.test("writeJson() escapes each unit of a long text", () => {
  for (const [length, unit] of [[999, "é"], [1000, "☃"], [1001, "\x7f"], [2500, "😀"]] as const) {
    const text = `a${unit.repeat(length)}"b`;
    const escaped = [...Array(unit.length).keys()]
      .map((at) => `\\u${unit.charCodeAt(at).toString(16).padStart(4, "0")}`).join("");
    const json = writeJson(text);
    assert.equal(json, `"a${escaped.repeat(length)}\\"b"`);
    assert.equal(parseJson(json), text);
  }
});

/** Objects with so many keys each, of a kind whose hashes are alike. */
function objectsOf(...counts: number[]): string {
  const members = (count: number) => Array.from({ length: count }, (_, at) => `"${at * 65_536}":0`);
  return `[${counts.map((count) => `{${members(count).join(",")}}`).join(",")}]`;
}

Deno.test("parseJson() accepts numeric keys up to the limit", () => {
  const text = objectsOf(maximumNumericKeys - 1, 1);
  assert.equal(writeJson(parseJson(text)).length, text.length);
  const message = "Cannot read the document: it holds more than 10000 keys that are numbers";
  for (const more of [objectsOf(maximumNumericKeys + 1), objectsOf(maximumNumericKeys, 1)]) {
    assert.throws(() => parseJson(more), { name: "SyntaxError", message });
  }
  // Very many keys of other kinds are accepted.
  const members = Array.from({ length: 3 * maximumNumericKeys }, (_, at) => [
    ...[`"k${at}"`, `"${at}.0"`, `"-${at}"`],
  ]).flat();
  const others = `{${members.map((key) => `${key}:0`).join(",")}}`;
  assert.equal(Object.keys(parseJson(others) as object).length, members.length);
});
