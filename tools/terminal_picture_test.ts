import assert from "node:assert/strict";
import { requirement } from "../tests/support/requirements.ts";
import {
  pictureFile,
  pictureOf,
  runsOf,
  screenOf,
  terminalPicture,
  textOf,
} from "./terminal_picture.ts";

function isThere(program: string): boolean {
  try {
    return new Deno.Command(program, { args: ["--version"], stdout: "null" }).outputSync().success;
  } catch {
    return false;
  }
}

const script = requirement("script, which makes terminals", isThere("script"));

/** The picture of an output on 20 columns. */
function drawn(output: string): string {
  const words = { windowTitle: "a & b", title: "<title>", description: '"described"' };
  return pictureOf(screenOf(output, 20), { columns: 20, ...words });
}

Deno.test("screenOf() wraps rows as a terminal does, and counts no colours", () => {
  const cases = [
    ["", ""],
    ["one\r\ntwo\n", "one\ntwo\n"],
    ["\n\nlow", "\n\nlow\n"],
    ["12345", "12345\n"],
    ["12345\n6", "12345\n6\n"],
    ["1234567", "12345\n67\n"],
    ["\x1b[31m12345\x1b[0m\n6", "12345\n6\n"],
    ["├─ é…", "├─ é…\n"],
  ] as const;
  for (const [output, text] of cases) assert.equal(textOf(screenOf(output, 5)), text);
});

Deno.test("screenOf() refuses what it cannot show", () => {
  for (const output of ["\x1b[2J", "a\rb", "\t", "\x1b[4mx", "\x1b]0;title\x07"]) {
    assert.throws(() => screenOf(output, 20), /^Error: Cannot show /, JSON.stringify(output));
  }
});

Deno.test("runsOf() parts a row where the style changes and at wide gaps", () => {
  const output = "\x1b[1;31mred\x1b[22m on\x1b[39m a b   c\x1b[92m!\x1b[m\x1b[1m?\x1b[0m ";
  assert.deepEqual(screenOf(output, 80).map(runsOf), [[
    { column: 0, text: "red", colour: 1, isBold: true },
    { column: 4, text: "on", colour: 1, isBold: false },
    { column: 7, text: "a b", colour: null, isBold: false },
    { column: 13, text: "c", colour: null, isBold: false },
    { column: 14, text: "!", colour: 10, isBold: false },
    { column: 15, text: "?", colour: null, isBold: true },
  ]]);
});

Deno.test("pictureOf() escapes what XML would take for its own", () => {
  const picture = drawn('<a href="x">&amp;');
  assert.ok(picture.includes(">&lt;a href=&quot;x&quot;&gt;&amp;amp;</text>"), picture);
  assert.ok(picture.includes(">a &amp; b</text>"), picture);
  assert.ok(picture.includes(">&lt;title&gt;</title>"), picture);
  assert.ok(picture.includes(">&quot;described&quot;</desc>"), picture);
});

Deno.test("pictureOf() makes each run as wide as its columns, in its colour", () => {
  const [normal, coloured] = drawn("ab  \x1b[1;31m…é!\x1b[0m").match(/<text x="\d[^]*?<\/text>/g)!
    .slice(1).map((text) => {
      const value = (name: string) => new RegExp(` ${name}="([^"]*)"`).exec(text)?.[1];
      return ["x", "textLength", "lengthAdjust", "fill", "font-weight"].map(value);
    });
  const adjust = "spacingAndGlyphs";
  assert.deepEqual(normal, ["22", "16.8", adjust, undefined, undefined]);
  assert.deepEqual(coloured, ["55.6", "25.2", adjust, "#ff7b72", "bold"]);
});

Deno.test("pictureOf() draws the lines of a tree without gaps, and writes none", () => {
  const picture = drawn("├─ a\n│  b\n└─ c\n");
  assert.doesNotMatch(picture, /[├│└─]/);
  const [, lines] = /<path d="([^"]*)" fill="none"/.exec(picture)!;
  const verticals = [...lines!.matchAll(/M26\.2 (\d+)V(\d+)/g)]
    .map(([, from, to]) => [Number(from), Number(to)].sort((one, other) => one - other))
    .sort(([one], [other]) => one! - other!);
  assert.equal(verticals.length, 5);
  for (const [index, [from]] of verticals.entries()) {
    if (index > 0) assert.equal(from, verticals[index - 1]![1]);
  }
});

Deno.test({
  name: `docs/pictures/terminal.svg shows what the executable prints${script.suffix}`,
  ignore: script.ignore,
  fn: async () => {
    script.check();
    const picture = await Deno.readTextFile(pictureFile);
    assert.equal(picture, await terminalPicture(), "run tools/terminal_picture.ts");
    assert.ok(new TextEncoder().encode(picture).length < 40_000);
    assert.doesNotMatch(picture, /href|url\(|@import|<script|<style|<image/);
  },
});
