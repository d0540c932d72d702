import assert from "node:assert/strict";
import { readPluginOutput } from "./plugin_output.ts";

Deno.test("readPluginOutput() takes what the guidelines for plugins allow", () => {
  const cases: [data: string, figures: [label: string, value: number, unit: string][]][] = [
    ["", []],
    ["| a=1", [["a", 1, ""]]],
    ["|a=1s b=0.5%", [["a", 1, "s"], ["b", 0.5, "%"]]],
    ["| 'a b'=-1.5ms;1;2;0;3 'it''s'=2c;@1:2;~:5;;", [["a b", -1.5, "ms"], ["it's", 2, "c"]]],
    ["| /var=1MB;;;0", [["/var", 1, "MB"]]],
  ];
  for (const [data, figures] of cases) {
    const output = readPluginOutput(`X OK - fine ${data}\n`);
    assert.deepEqual(output.text, "fine");
    assert.deepEqual(output.figures.map(({ label, value, unit }) => [label, value, unit]), figures);
  }
});

Deno.test("readPluginOutput() refuses what they do not allow", () => {
  const refused = [
    "X OK - fine",
    "X OK - a\nb\n",
    "X OK - a | a=1 | b=1\n",
    "X FINE - a\n",
    "OK - a\n",
    "X OK - a\tb\n",
    ...[
      "a",
      "a=",
      "=1",
      "a =1",
      "a=1 s",
      "a=1,5s",
      "a=1min",
      "a=1;;;;;",
      "a=1;x",
      "a=1 a=2",
      "'a=1",
    ]
      .concat(
        "a=1e3",
        "a=NaN",
        "'a'b=1",
        "a=1;2;3;4;5;6",
        `${"x".repeat(20)}=1 ${"x".repeat(19)}=1`,
      )
      .map((data) => `X OK - fine | ${data}\n`),
    `X OK - ${"x".repeat(5000)}\n`,
  ];
  for (const printed of refused) assert.throws(() => readPluginOutput(printed), Error, printed);
});
