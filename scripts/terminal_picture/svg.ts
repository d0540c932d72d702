import { type Cell, runsOf } from "./screen.ts";

/** What the picture says besides the screen. */
export interface PictureOptions {
  /** How wide the screen is, in columns. */
  readonly columns: number;
  /** What stands in the title bar. */
  readonly windowTitle: string;
  /** For who cannot see it: what it is. */
  readonly title: string;
  /** For who cannot see it: what is to be seen. */
  readonly description: string;
}

const column = 8.4;
const row = 20;
const padding = 22;
const bar = 38;
const fontSize = 14;

const background = "#0d1117";
const foreground = "#d1d7e0";
const treeColour = "#6e7681";
/** By their numbers; each has a contrast of at least 4.5 : 1 to the background, but for black. */
const palette = [
  ...["#484f58", "#ff7b72", "#3fb950", "#e3b341", "#79c0ff", "#d2a8ff", "#56d4dd", "#d1d7e0"],
  ...["#8b949e", "#ffa198", "#56d364", "#f2cc60", "#a5d6ff", "#e2c5ff", "#76e3ea", "#ffffff"],
];

/** What a line of a tree goes along in its cell: to the top, the bottom, the left and the right. */
const strokes: Readonly<Record<string, string>> = { "│": "tb", "├": "tbr", "└": "tr", "─": "lr" };

/**
 * A picture of a screen, as SVG that loads nothing. Whatever the font, each run of characters is as
 * wide as its columns; the lines of trees are drawn, and so have no gaps.
 */
export function pictureOf(rows: readonly (readonly Cell[])[], options: PictureOptions): string {
  const { columns, windowTitle, title, description } = options;
  const width = Math.ceil(2 * padding + columns * column);
  const height = bar + rows.length * row + 2 * padding - 10;
  const texts = rows.flatMap((cells, index) =>
    runsOf(cells.map((cell) => cell.character in strokes ? { ...cell, character: " " } : cell))
      .map(({ column: at, text, colour, isBold }) => {
        const attributes = [
          `x="${x(at)}"`,
          `y="${top(index) + 15}"`,
          `textLength="${rounded([...text].length * column)}"`,
          `lengthAdjust="spacingAndGlyphs"`,
          ...(colour === null ? [] : [`fill="${palette[colour]!}"`]),
          ...(isBold ? [`font-weight="bold"`] : []),
        ];
        return `<text ${attributes.join(" ")}>${escaped(text)}</text>`;
      })
  );
  const lines = rows.flatMap((cells, index) =>
    cells.map(({ character }, at) => strokesOf(character, at, index))
  ).join("");
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" \
viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="title description">
<title id="title">${escaped(title)}</title>
<desc id="description">${escaped(description)}</desc>
<rect x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="10" fill="${background}" \
stroke="#3d444d"/>
<path d="M1 ${bar}V10.5a9.5 9.5 0 0 1 9.5-9.5H${width - 10.5}a9.5 9.5 0 0 1 9.5 9.5V${bar}z" \
fill="#1c2129"/>
<circle cx="22" cy="19.5" r="6" fill="#ff5f57"/>
<circle cx="42" cy="19.5" r="6" fill="#febc2e"/>
<circle cx="62" cy="19.5" r="6" fill="#28c840"/>
<text x="${width / 2}" y="24" text-anchor="middle" font-family="system-ui, sans-serif" \
font-size="13" fill="#9198a1">${escaped(windowTitle)}</text>
<path d="${lines}" fill="none" stroke="${treeColour}"/>
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" \
font-size="${fontSize}" fill="${foreground}">
${texts.map((text) => `${text}\n`).join("")}</g>
</svg>
`;
}

function strokesOf(character: string, at: number, index: number): string {
  const directions = strokes[character] ?? "";
  const [centre, middle] = [x(at + 0.5), top(index) + row / 2];
  const ends: Readonly<Record<string, string>> = {
    t: `V${top(index)}`,
    b: `V${top(index) + row}`,
    l: `H${x(at)}`,
    r: `H${x(at + 1)}`,
  };
  return [...directions].map((direction) => `M${centre} ${middle}${ends[direction]!}`).join("");
}

function x(at: number): number {
  return rounded(padding + at * column);
}

function top(index: number): number {
  return bar + padding - 5 + index * row;
}

function rounded(length: number): number {
  return Math.round(length * 100) / 100;
}

function escaped(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
  };
  return text.replaceAll(/[&<>"]/g, (character) => entities[character]!);
}
