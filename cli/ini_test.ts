import assert from "node:assert/strict";
import { readSection } from "./ini.ts";

/** The entries of the section `agent` as `line key=value`; null when there is no such section. */
const read = (text: string) =>
  readSection(text, "agent")?.map(({ key, value, line }) => `${line} ${key}=${value}`) ?? null;

Deno.test("readSection() reads keys and values with the lines that they stand in", () => {
  assert.deepEqual(read("[agent]\nmaster-host = m.test\n\n  swarmctl-port=1  \n"), [
    "2 master-host=m.test",
    "4 swarmctl-port=1",
  ]);
});

Deno.test("readSection() takes what a text editor or the first agent may have left", () => {
  const cases: [text: string, expected: string[]][] = [
    ["[agent]", []],
    ["[agent]\n# a = 1\n[other]\na = 1", []],
    ["\ufeff[agent]\na = 1", ["2 a=1"]],
    ["[agent]\r\na = 1\r\nb = 2\r\n", ["2 a=1", "3 b=2"]],
    ["[agent]\ra = 1\r\rb = 2", ["2 a=1", "4 b=2"]],
    ["[agent]\n\ra = 1\r\n\r\nb = 2", ["3 a=1", "5 b=2"]],
    ["[agent]\na : 1\nb:2\nc:/d=e\nf=g:h", ["2 a=1", "3 b=2", "4 c=/d=e", "5 f=g:h"]],
    ["[agent]\n# a = 1\n; b = 2\n  # c = 3\nd = 4 # 5 ; 6", ["5 d=4 # 5 ; 6"]],
    ["[agent]\nMaster-Host = M.Test", ["2 master-host=M.Test"]],
    ["[agent]\na =\nb=", ["2 a=", "3 b="]],
    ["[agent]\nMASTER_host = a_b\n__=_", ["2 master-host=a_b", "3 --=_"]],
    ["[AGENT]\na = 1\n[other]\na = 2\na = 3\n[Agent]\nb = 4", ["2 a=1", "7 b=4"]],
    ["[agent] # ours\na = 1\n[other];\nb = 2\n[ agent ]\t; [x]\nc = 3", ["2 a=1", "6 c=3"]],
    ["[agent]\na = = b = c", ["2 a== b = c"]],
    ["[agent]\n\ta\t=\tb\tc\t", ["2 a=b\tc"]],
    ["[agent]\n[ other ]\na = 1\n[ agent ]\nb = 2", ["5 b=2"]],
    [
      "[agent]\na = 1\n[other]\nthis is not read\n= x\n  [nor this\n[agent]\nb = 2",
      ["2 a=1", "8 b=2"],
    ],
    ["; \0 and \ufffd\n[agent]\n# \ufffd\na = 1", ["4 a=1"]],
    ['[agent]\na = é😀 "quoted"', ['2 a=é😀 "quoted"']],
  ];
  for (const [text, expected] of cases) assert.deepEqual(read(text), expected, text);
});

Deno.test("readSection() tells a section that is absent from one that is empty", () => {
  for (const text of ["", "\ufeff", "# [agent]\n", "[agents]\nb = 2\n[]\nagent = 3", "[a gent]"]) {
    assert.equal(read(text), null, text);
  }
});

Deno.test("readSection() names the line that is malformed", () => {
  const noEntry = 'neither "key = value" nor a comment';
  const noSection = "neither a [section] nor in one";
  const cases: [line: string, problem: string][] = [
    ...["nonsense", "= value", ": value", "agent]", "-", "  [other"]
      .map((line): [string, string] => [line, `is ${noEntry}`]),
    ...["[agent", "[agent]]", "[agent] b = 2", "[", "[b = 2"]
      .map((line): [string, string] => [line, `is ${noSection}`]),
    ...["b = \0", "b\ufffd = 2", "\x08", "[\0]"].map((
      line,
    ): [string, string] => [line, "is not text"]),
    ...["a = 1", "A : 2", "a ="].map((line): [string, string] => [
      line,
      "sets 'a' for the second time",
    ]),
    ["master-HOST = a", "sets 'master-host' for the second time"],
  ];
  for (const [line, problem] of cases) {
    assert.throws(() => read(`[agent]\na = 1\r\nmaster_host = m\r\r\n${line}\nb = 2`), {
      name: "SyntaxError",
      message: `line 5 ${problem}`,
    }, line);
  }
  // In other sections, too, for what follows may be meant for this one.
  for (
    const [text, problem] of [
      ["a = 1\n[agent]", `line 1 is ${noSection}`],
      ["\n# a\nnonsense\n[agent]", `line 3 is ${noSection}`],
      ["\ufeff[agent", `line 1 is ${noSection}`],
      ["[other]\n[agent\na = 1", `line 2 is ${noSection}`],
      ["[agent]\na = 1\n[other]\nb = 2\n[agent]\na = 3", "line 6 sets 'a' for the second time"],
      ["\ufffd\ufffd[\0a\0]\0", "line 1 is not text"],
      ["[other]\nb = \0\n[agent]", "line 2 is not text"],
    ]
  ) {
    assert.throws(() => read(text!), { name: "SyntaxError", message: problem! }, text);
  }
});
