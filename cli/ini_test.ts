import assert from "node:assert/strict";
import { readSection } from "./ini.ts";

/** The entries of the section `agent` as `line key=value`. */
const read = (text: string) =>
  readSection(text, "agent").map(({ key, value, line }) => `${line} ${key}=${value}`);

Deno.test("readSection() reads keys and values with the lines that they stand in", () => {
  assert.deepEqual(read("[agent]\nmaster-host = m.test\n\n  swarmctl-port=1  \n"), [
    "2 master-host=m.test",
    "4 swarmctl-port=1",
  ]);
});

Deno.test("readSection() takes what a text editor or the first agent may have left", () => {
  const cases: [text: string, expected: string[]][] = [
    ["", []],
    ["[agent]", []],
    ["\ufeff[agent]\na = 1", ["2 a=1"]],
    ["[agent]\r\na = 1\r\nb = 2\r\n", ["2 a=1", "3 b=2"]],
    ["[agent]\na : 1\nb:2\nc:/d=e\nf=g:h", ["2 a=1", "3 b=2", "4 c=/d=e", "5 f=g:h"]],
    ["[agent]\n# a = 1\n; b = 2\n  # c = 3\nd = 4 # 5 ; 6", ["5 d=4 # 5 ; 6"]],
    ["[agent]\nMaster-Host = M.Test", ["2 master-host=M.Test"]],
    ["[agent]\na =\nb=", ["2 a=", "3 b="]],
    ["[agent]\na = 1\na = 2", ["2 a=1", "3 a=2"]],
    ["[agent]\na = = b = c", ["2 a== b = c"]],
    ["[agent]\n\ta\t=\tb\tc\t", ["2 a=b\tc"]],
    ["[agent]\n[ other ]\na = 1\n[ agent ]\nb = 2", ["5 b=2"]],
    ["a = 1\nnonsense\n[Agent]\nb = 2\n[agents]\nc = 3", []],
    ["[agent]\na = 1\n[other]\nthis is not read\n= x\n[agent]\nb = 2", ["2 a=1", "7 b=2"]],
    ['[agent]\na = é😀 "quoted"', ['2 a=é😀 "quoted"']],
  ];
  for (const [text, expected] of cases) assert.deepEqual(read(text), expected, text);
});

Deno.test("readSection() names the line that is malformed", () => {
  for (const line of ["nonsense", "= value", ": value", "[agent", "agent]", "-"]) {
    assert.throws(() => read(`[agent]\na = 1\r\n\n${line}\nb = 2`), {
      name: "SyntaxError",
      message: 'line 4 is neither "key = value" nor a comment',
    }, line);
  }
});
