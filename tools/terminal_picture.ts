// deno-lint-ignore-file no-console no-control-regex
/**
 * Makes docs/pictures/terminal.svg: what the compiled executable prints on a real terminal when a
 * topology has drifted. Needs dist/decnet-agent and script, which makes terminals:
 * `deno run -q -A tools/terminal_picture.ts [SVG]`
 *
 * @module
 */

import { TopologyStore } from "../store/topology_store.ts";
import { container } from "../tests/support/engine/state.ts";
import { binary, execute, Host } from "../tests/support/executable.ts";

/** How a character looks; no colour is the terminal's own. */
interface Style {
  /** 0 to 15: the eight colours, and the bright ones. */
  readonly colour: number | null;
  readonly isBold: boolean;
}

/** A place on the screen that shows a character. */
interface Cell extends Style {
  readonly character: string;
}

/** Characters side by side that look alike; the column counts from 0. */
interface Run extends Style {
  readonly column: number;
  readonly text: string;
}

const plain: Style = { colour: null, isBold: false };

/**
 * What a terminal of so many columns shows of an output: its rows, the longest wrapped as a terminal
 * does. Every character takes one column. Throws `Error` for a control that is no colour.
 */
export function screenOf(output: string, columns: number): Cell[][] {
  const rows: Cell[][] = [[]];
  let style = plain;
  for (const [token] of output.matchAll(/\x1b\[[\d;]*m|\r?\n|[^]/gu)) {
    if (token.endsWith("\n")) rows.push([]);
    else if (token.length > 1 && token.startsWith("\x1b")) style = changed(style, token);
    else if (/\p{Cc}/u.test(token)) {
      throw new Error(`Cannot show the control character ${JSON.stringify(token)}`);
    } else {
      if (rows.at(-1)!.length === columns) rows.push([]);
      rows.at(-1)!.push({ character: token, ...style });
    }
  }
  if (rows.at(-1)!.length === 0) rows.pop();
  return rows;
}

/** The style behind a sequence such as `\x1b[1;31m`. */
function changed(style: Style, sequence: string): Style {
  return sequence.slice(2, -1).split(";").map(Number).reduce((before, code): Style => {
    if (code === 0) return plain;
    if (code === 1) return { ...before, isBold: true };
    if (code === 22) return { ...before, isBold: false };
    if (code === 39) return { ...before, colour: null };
    if (code >= 30 && code <= 37) return { ...before, colour: code - 30 };
    if (code >= 90 && code <= 97) return { ...before, colour: code - 90 + 8 };
    throw new Error(`Cannot show ${JSON.stringify(sequence)}: ${code} is no known style`);
  }, style);
}

/** The runs of a row: none begins or ends with a space, or holds two spaces side by side. */
export function runsOf(row: readonly Cell[]): Run[] {
  const runs: Run[] = [];
  for (let start = 0; start < row.length;) {
    const { colour, isBold } = row[start]!;
    let end = start + 1;
    while (end < row.length && row[end]!.colour === colour && row[end]!.isBold === isBold) end++;
    const text = row.slice(start, end).map(({ character }) => character).join("");
    for (const { 0: words, index } of text.matchAll(/\S+(?: \S+)*/g)) {
      const column = start + [...text.slice(0, index)].length;
      runs.push({ column, text: words, colour, isBold });
    }
    start = end;
  }
  return runs;
}

/** What is to be read on a screen, without colours. */
export function textOf(rows: readonly (readonly Cell[])[]): string {
  return rows.map((row) => `${row.map(({ character }) => character).join("")}\n`).join("");
}

/** How wide the terminal is. */
const columns = 88;

/** On subnets that no machine has an address in. */
const id = "5e1f0a3c-6d2b-4c8e-9a71-3b0d5c7e2f14";
const document = {
  topology: { id, name: "example" },
  lans: [
    { name: "DMZ", subnet: "198.18.0.0/24", is_dmz: true },
    { name: "OFFICE", subnet: "198.18.1.0/24", is_dmz: false },
  ],
  deckies: [
    decky("web", { DMZ: "198.18.0.10", OFFICE: "198.18.1.10" }, { http: "nginx:alpine" }),
    decky("db", { OFFICE: "198.18.1.20" }, { redis: "redis:alpine" }),
    decky("files", { OFFICE: "198.18.1.30" }, { smb: "samba:4", ssh: "openssh:9" }),
  ],
};

function decky(
  name: string,
  addresses: Record<string, string>,
  images: Record<string, string>,
): object {
  const services = Object.entries(images).map(([service, image]) => [service, { image }]);
  return {
    name,
    services: Object.keys(images),
    decky_config: {
      ips_by_lan: addresses,
      forwards_l3: Object.keys(addresses).length > 1,
      service_config: Object.fromEntries(services),
    },
  };
}

/**
 * What a terminal gets when the executable has applied a topology, and somebody has been at its
 * containers since: the commands behind a prompt, and what they print. The engine is a stand-in. Two
 * times are made to stand still: that of the apply, and how long the engine took.
 */
async function recordSession(commands: readonly string[]): Promise<string> {
  await using host = await Host.create();
  const engine = await host.startEngine();
  engine.images = ["debian:bookworm-slim", "nginx:alpine", "redis:alpine", "samba:4", "openssh:9"];
  const file = `${host.folder}/topology.json`;
  await Deno.writeTextFile(file, JSON.stringify(document));
  const { code, stdout, stderr } = await execute(["apply", file, ...host.flags()]);
  if (code !== 0) throw new Error(`Cannot apply the topology: ${stdout}${stderr}`);
  {
    using store = TopologyStore.open(host.storePath, { now: () => Date.UTC(2026, 0, 31, 9, 30) });
    const applied = store.current()!;
    store.put(applied.topologyId, applied.versionHash, applied.document);
  }
  const prefix = `decnet_t_${id.slice(0, 8)}`;
  engine.containers = [
    ...engine.containers.filter(({ Names: [name] }) => name !== `/${prefix}_db-redis`)
      .map((item) =>
        item.Names[0] === `/${prefix}_files-ssh`
          ? { ...item, State: "exited" as const, Status: "Exited (137) 3 minutes ago" }
          : item
      ),
    container({ name: `${prefix}_miner` }),
  ];
  return (await onTerminal(commands, host)).replaceAll(/docker=\d\.\d{3}s/g, "docker=0.004s");
}

/** Shows each command behind a prompt and runs it, with the exit code of the one before as `$?`. */
const shell = `
code=0
for command; do
  printf '\\033[32m$\\033[0m \\033[1m%s\\033[0m\\n' "$command"
  (exit $code)
  eval "$command"
  code=$?
done
`;

async function onTerminal(commands: readonly string[], host: Host): Promise<string> {
  const file = `${host.folder}/session.sh`;
  await Deno.writeTextFile(file, shell);
  const quoted = commands.map((command) => `'${command.replaceAll("'", `'\\''`)}'`);
  const { stdout } = await new Deno.Command("script", {
    args: ["-qec", `stty cols ${columns}; sh ${file} ${quoted.join(" ")}`, "/dev/null"],
    env: {
      PATH: `${binary.slice(0, binary.lastIndexOf("/"))}:${Deno.env.get("PATH") ?? ""}`,
      HOME: "/nonexistent",
      SHELL: "/bin/sh",
      TERM: "xterm",
      DECNET_DOCKER_HOST: `unix://${host.socket}`,
      DECNET_STATE_DIR: host.stateDirectory,
      DECNET_AGENT_DIR: host.agentDirectory,
    },
    clearEnv: true,
    stdin: "null",
  }).output();
  return new TextDecoder().decode(stdout);
}

/** What the picture says besides the screen. */
interface PictureOptions {
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

/** Where the picture is that the README shows. */
export const pictureFile: string =
  new URL("../docs/pictures/terminal.svg", import.meta.url).pathname;

/** Runs the executable; the same text each time. */
export async function terminalPicture(): Promise<string> {
  const output = await recordSession(["decnet-agent --once", "echo $?", "decnet-agent state"]);
  return pictureOf(screenOf(output, columns), {
    columns,
    windowTitle: "decnet-agent",
    title: "decnet-agent in a terminal",
    description: "decnet-agent --once warns of three differences and exits with 1. decnet-agent " +
      "state draws the topology as a tree of LANs, decoys and services: the service redis of db is " +
      "missing, ssh of files has stopped, and a container miner is not of the topology.",
  });
}

if (import.meta.main) {
  const [file = pictureFile] = Deno.args;
  const picture = await terminalPicture();
  await Deno.writeTextFile(file, picture);
  console.log(`${file}: ${new TextEncoder().encode(picture).length} bytes`);
}
