import assert from "node:assert/strict";
import { plot, type Series } from "./plot.ts";

const axes = { x: { label: "size" }, y: { label: "time (s)" } };

/** What stands in every element of this name, and its attributes. */
function all(svg: string, name: string): { attributes: string; content: string }[] {
  const found = svg.matchAll(new RegExp(`<${name}( [^>]*?)?(?:/>|>([^<]*)</${name}>)`, "g"));
  return [...found].map(([, attributes = "", content = ""]) => ({ attributes, content }));
}

/** Throws `AssertionError` unless each element is closed in its turn. */
function assertWellFormed(svg: string): void {
  const open: string[] = [];
  for (const [, end, name, attributes] of svg.matchAll(/<(\/?)([a-zA-Z]+)((?:\s[^<>]*)?)>/g)) {
    if (end) assert.equal(open.pop(), name);
    else if (!attributes!.endsWith("/")) open.push(name!);
  }
  assert.deepEqual(open, []);
  assert.doesNotMatch(svg, /NaN|Infinity|undefined/);
  assert.doesNotMatch(svg.replace(/&#\d+;/g, ""), /&/);
}

function textsOf(svg: string): string[] {
  return all(svg, "text").map(({ content }) => content);
}

Deno.test("plot() draws lines, axes with units and names into well-formed SVG", () => {
  const series: Series[] = [
    { name: "A & <B>", points: [[0, 0], [50, 2], [100, 4]] },
    { name: "dots", points: [[0, 1], [100, 1]], dots: true },
  ];
  const svg = plot({ title: "T", ...axes, series, mark: { y: 3, name: "limit" } });
  assertWellFormed(svg);
  const texts = textsOf(svg);
  for (
    const text of ["T", "size", "time (s)", "A &#38; &#60;B&#62;", "dots", "limit", "100", "4"]
  ) {
    assert.ok(texts.includes(text), `${text} is not among ${texts}`);
  }
  assert.equal(all(svg, "circle").length, 2);
  // From corner to corner, and across the middle.
  assert.ok(svg.includes('d="M72 324L338 188L604 52"'), svg);
});

Deno.test("plot() puts decades at equal distances on a logarithmic axis", () => {
  const axis = { label: "", log: true };
  const points = [[1, 1], [10, 100], [1000, 10_000]] as const;
  const svg = plot({ title: "", x: axis, y: axis, series: [{ name: "", points }] });
  assertWellFormed(svg);
  assert.ok(svg.includes('d="M72 324L249.3 188L604 52"'), svg);
  const texts = textsOf(svg).filter((text) => /^[\d,]+$/.test(text));
  assert.deepEqual(texts, ["1", "10", "100", "1,000", "10,000", "1", "10", "100", "1,000"]);
});

Deno.test("plot() lets a line leave a logarithmic axis where there is nothing", () => {
  const y = { label: "", log: true, from: 10, to: 1000 };
  const points = [[0, 1000], [1, 0], [2, 1000]] as const;
  const svg = plot({ title: "", x: { label: "" }, y, series: [{ name: "", points }] });
  assertWellFormed(svg);
  const [, bottom] = /L338 ([\d.]+)L/.exec(svg)!;
  assert.ok(Number(bottom) > 324, bottom);
});

Deno.test("plot() keeps names apart that would cover each other", () => {
  const series = ["a", "b", "c"].map((name): Series => ({ name, points: [[0, 5], [1, 5]] }));
  const svg = plot({ title: "", x: axes.x, y: { label: "", from: 0, to: 10 }, series });
  const places = all(svg, "text").filter(({ content }) => /^[abc]$/.test(content)).map(
    ({ attributes }) => Number(/ y="([\d.]+)"/.exec(attributes)![1]),
  );
  assert.equal(places.length, 3);
  assert.ok(places.every((y, n) => n === 0 || y - places[n - 1]! >= 15), places.join(" "));
});

Deno.test("plot() draws a series of one point, and one whose values are all the same", () => {
  for (const points of [[[3, 7]], [[0, 7], [1, 7]]] as const) {
    assertWellFormed(plot({ title: "", ...axes, series: [{ name: "one", points }] }));
  }
});
