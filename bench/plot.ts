/** One axis: what it shows and in which unit. It ends where the points do, unless told. */
interface Axis {
  readonly label: string;
  readonly log?: boolean;
  readonly from?: number;
  readonly to?: number;
  /** The distance between ticks, where the axis is not logarithmic. */
  readonly step?: number;
}

/** One line, or with `dots` only its points. */
export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
  readonly dots?: boolean;
  /** At which y its name stands, in place of that of its last point. */
  readonly labelAt?: number;
}

/** What a plot shows. */
interface Plot {
  readonly title: string;
  /** What is to be seen, for whoever cannot see it. */
  readonly description?: string;
  readonly x: Axis;
  readonly y: Axis;
  /** Up to 6; later ones are drawn above earlier ones. */
  readonly series: readonly Series[];
  /** A dashed line across. */
  readonly mark?: { readonly y: number; readonly name: string };
}

const width = 760;
const height = 380;
const frame = { left: 72, right: 604, top: 52, bottom: 324 };
/** Told apart by those who confuse red and green, too; on white, and on black. */
const colours = [
  ["#d55e00", "#ff8a3d"],
  ["#b8860b", "#e3b341"],
  ["#0969da", "#58a6ff"],
  ["#1a7f64", "#3fc79a"],
  ["#8250df", "#bc8cff"],
  ["#57606a", "#9198a1"],
] as const;
const rules = (ink: string, faint: string, grid: string, paper: string, shade: 0 | 1) =>
  `.b{fill:${paper};stroke:${grid}}text{fill:${ink}}.f{fill:${faint}}.g{stroke:${grid}}` +
  `.a,.m{stroke:${faint}}` +
  colours.map((it, n) => `.l${n}{stroke:${it[shade]}}.t${n}{fill:${it[shade]}}`).join("");
const style = "text{font:13px system-ui,sans-serif}.h{font-size:16px;font-weight:600}" +
  ".t0,.t1,.t2,.t3,.t4,.t5{font-weight:600}path{fill:none;stroke-width:2;stroke-linejoin:round}" +
  ".g,.a{stroke-width:1}.m{stroke-width:1;stroke-dasharray:5 4}" +
  rules("#1f2328", "#59636e", "#d8dee4", "#ffffff", 0) +
  `@media(prefers-color-scheme:dark){${rules("#f0f6fc", "#9198a1", "#30363d", "#0d1117", 1)}}`;

/** Draws lines or points into an SVG picture that goes with light pages and dark ones. */
export function plot({ title, description = title, x, y, series, mark }: Plot): string {
  const points = series.flatMap((it) => it.points);
  const across = scale(x, points.map((it) => it[0]), [frame.left, frame.right]);
  const up = scale(y, points.map((it) => it[1]), [frame.bottom, frame.top]);
  const { left, right, top, bottom } = frame;
  const parts = [
    `<rect class="b" x=".5" y=".5" width="${width - 1}" height="${height - 1}" rx="8"/>`,
    text(left, 30, title, 'class="h"'),
    ...up.ticks.map((tick) =>
      `<path class="g" d="M${left} ${up.at(tick)}H${right}"/>` +
      text(left - 8, up.at(tick) + 4.5, number(tick), 'class="f" text-anchor="end"')
    ),
    ...across.ticks.map((tick) =>
      `<path class="a" d="M${across.at(tick)} ${bottom}v5"/>` +
      text(across.at(tick), bottom + 20, number(tick), 'class="f" text-anchor="middle"')
    ),
    `<path class="a" d="M${left} ${bottom}H${right}"/>`,
    text((left + right) / 2, height - 14, x.label, 'text-anchor="middle"'),
    text(
      0,
      0,
      y.label,
      `text-anchor="middle" transform="translate(18 ${(top + bottom) / 2})rotate(-90)"`,
    ),
  ];
  const clip = `clip-path="url(#c)"`;
  series.forEach(({ points, dots }, index) => {
    const places = points.map(([x, y]) => [across.at(x), up.at(y)] as const);
    parts.push(
      dots
        ? places.map(([x, y]) => `<circle class="t${index}" cx="${x}" cy="${y}" r="3.5"/>`).join("")
        : `<path ${clip} class="l${index}" d="${line(places)}"/>`,
    );
  });
  if (mark) parts.push(`<path class="m" d="M${left} ${up.at(mark.y)}H${right}"/>`);
  const labels = series.map(({ name, points, labelAt }, index) => ({
    y: up.at(labelAt ?? points.at(-1)![1]),
    draw: (y: number) => text(right + 10, y + 4.5, name, `class="t${index}"`),
  }));
  if (mark) {
    const draw = (y: number) => text(right + 10, y + 4.5, mark.name, 'class="f"');
    labels.push({ y: up.at(mark.y), draw });
  }
  let free = -Infinity;
  for (const { y, draw } of labels.toSorted((a, b) => a.y - b.y)) {
    free = Math.max(free + 17, y);
    parts.push(draw(free));
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" ` +
    `viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="t d">\n` +
    `<title id="t">${escape(title)}</title>\n<desc id="d">${escape(description)}</desc>\n` +
    `<style>${style}</style>\n<clipPath id="c"><rect x="${left}" y="${top - 2}" ` +
    `width="${right - left}" height="${bottom - top + 2}"/></clipPath>\n${
      parts.join("\n")
    }\n</svg>\n`;
}

/** Where values lie on an axis, in pixels, and which of them are written there. */
function scale(axis: Axis, values: readonly number[], [start, end]: readonly [number, number]) {
  const { log = false, from = Math.min(...values), to = Math.max(...values) } = axis;
  const measure = (value: number) => log ? Math.log10(value) : value;
  const [first, last] = [measure(from), measure(to)];
  const at = (value: number) => {
    // Nothing has a logarithm: what lies below the axis leaves the picture there.
    const isBelow = log && value < from;
    const share = isBelow ? -0.02 : (measure(value) - first) / (last - first || 1);
    return Math.round((start + (end - start) * share) * 10) / 10;
  };
  const ticks: number[] = [];
  if (log) {
    const within = [1, 2, 5].slice(0, last - first > 2 ? 1 : 3);
    for (let power = Math.floor(first); power <= Math.ceil(last); power++) {
      ticks.push(...within.map((it) => it * 10 ** power));
    }
  } else {
    const rough = 10 ** Math.floor(Math.log10((to - from) / 3 || 1));
    const steps = [1, 2, 5, 10].map((it) => it * rough);
    const step = axis.step ?? steps.find((it) => (to - from) / it <= 6)!;
    // Multiples, as sums would gather errors.
    for (let n = Math.ceil(from / step); n * step <= to; n++) ticks.push(n * step);
  }
  return { at, ticks: ticks.filter((it) => it >= from * 0.999 && it <= to * 1.001) };
}

/** A path through places; what lies on one line is drawn as one. */
function line(places: readonly (readonly [number, number])[]): string {
  const bends = places.filter(([, y], index) => {
    return index === 0 || y !== places[index - 1]![1] || y !== places[index + 1]?.[1];
  });
  return bends.map(([x, y], index) => `${index === 0 ? "M" : "L"}${x} ${y}`).join("");
}

function number(value: number): string {
  return value.toLocaleString("en", { maximumSignificantDigits: 6 });
}

function text(x: number, y: number, content: string, attributes = ""): string {
  return `<text x="${x}" y="${y}" ${attributes}>${escape(content)}</text>`;
}

function escape(content: string): string {
  return content.replace(/[&<>"]/g, (it) => `&#${it.charCodeAt(0)};`);
}
