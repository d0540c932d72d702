import { Agent, type Heartbeat } from "../agent/heartbeat.ts";
import { sanitizeLine } from "../host/log.ts";
import { driftKinds } from "../topology/drift.ts";
import {
  type ImageNames,
  type Plan,
  planDocument,
  type PlannedContainer,
} from "../topology/plan.ts";
import { checkTimeoutMs } from "./check.ts";
import type { Configuration } from "./config.ts";
import { agentVersion } from "./options.ts";
import { type ExitCode, findingsOf, plural, worst } from "./report.ts";
import { isColoured, printJson, type Terminal } from "./terminal.ts";

/** Runs `state`: prints what is applied and what runs; the exit code is that of `--once` without a master. */
export async function printState(
  { agent: options }: Configuration,
  json: boolean,
  terminal: Terminal,
): Promise<ExitCode> {
  const agent = new Agent({ ...options, agentVersion, master: null });
  const heartbeat = await agent.sendHeartbeat(AbortSignal.timeout(checkTimeoutMs));
  const { topology, store } = heartbeat.body;
  const columns = terminal.stdoutColumns();
  if (json) {
    printJson(terminal, topology);
    if (!topology) terminal.stderr(`decnet-agent: ${sanitizeLine(store.detail ?? "")}\n`);
  } else if (columns !== null) {
    const look = { columns, isColoured: isColoured(terminal) };
    terminal.stdout(await stateTree(heartbeat, options.images, look));
  } else terminal.stdout(stateText(heartbeat));
  agent.close();
  return worst(findingsOf(heartbeat));
}

/** A line of what the state is: what it tells of, and what of it. */
export type StateLine = readonly [label: string, value: string];

/** What the store says, what runs, and how the two differ, for programs and people to read. */
export function stateText(heartbeat: Heartbeat): string {
  const { observed, drift } = heartbeat.snapshot;
  const lines = storeLines(heartbeat);
  if (observed.kind === "failed") lines.push(["docker", observed.error]);
  else {
    lines.push(["networks", observed.bridges.join(" ") || "none"]);
    lines.push(["containers", observed.containers.join(" ") || "none"]);
  }
  lines.push(["drift", drift.state === "unknown" ? `unknown: ${drift.detail}` : drift.state]);
  if (drift.state === "drifted") {
    for (const kind of driftKinds) {
      for (const { type, name, detail } of drift[kind]) {
        lines.push([`  ${kind}`, `${type} ${name}${detail && ` (${detail})`}`]);
      }
    }
  }
  return lines.map((line) => `${labelled(line)}\n`).join("");
}

/** What the store says. */
export function storeLines({ body: { topology, store } }: Heartbeat): StateLine[] {
  const lines: StateLine[] = [];
  if (!topology) lines.push(["store", store.detail ?? store.state]);
  else if (topology.topology_id === null) lines.push(["topology", "none (idle)"]);
  else {
    lines.push(["topology", topology.topology_id]);
    lines.push(["hash", topology.applied_version_hash || "none: nothing applied yet"]);
    if (topology.applied_at) lines.push(["applied", timeText(topology.applied_at)]);
  }
  if (topology && store.detail) lines.push(["store", store.detail]);
  if (topology?.last_error) lines.push(["last error", topology.last_error]);
  return lines;
}

/** The line as it is printed. */
export function labelled([label, value]: StateLine): string {
  return `${label.padEnd(14)}${sanitizeLine(value)}`;
}

function timeText(seconds: number): string {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? String(seconds) : date.toISOString();
}

/** How many columns a text takes on a terminal, at most. */
export function widthOf(text: string): number {
  return [...text].reduce((sum, character) => sum + columnsOf(character), 0);
}

/** The text, or as much of it as fits into so many columns, with `…` at its end. */
export function cut(text: string, columns: number): string {
  if (widthOf(text) <= columns) return text;
  let left = columns - 1;
  if (left < 0) return "";
  let start = "";
  for (const character of text) {
    left -= columnsOf(character);
    if (left < 0) break;
    start += character;
  }
  return `${start}…`;
}

/**
 * A terminal gives 2 columns to an ideogram or an emoji. To take more of them for wide than are costs
 * a few characters; to take one for narrow would break the line.
 */
function columnsOf(character: string): number {
  const point = character.codePointAt(0)!;
  return point < 0x1100 || (point >= 0x2010 && point < 0x2600) ? 1 : 2;
}

/** A line of a tree, and what hangs below it. */
export interface Branch {
  /** All but the last are as wide as those of its siblings. */
  readonly cells: readonly string[];
  readonly note?: Note | undefined;
  readonly below: readonly Branch[];
}

/** What is not as it should be with something, in words. */
export interface Note {
  readonly kind: (typeof driftKinds)[number];
  readonly text: string;
}

/** A line of a tree that has been drawn. */
export interface TreeLine {
  readonly text: string;
  readonly note: Note | undefined;
}

/** Draws the branches below a root, which is not drawn. */
export function drawTree(branches: readonly Branch[]): TreeLine[] {
  const widths = [0, 1].map((column) =>
    Math.max(0, ...branches.map(({ cells }) => cells[column]?.length ?? 0))
  );
  return branches.flatMap(({ cells, note, below }, index) => {
    const isLast = index === branches.length - 1;
    const line = cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ").trimEnd();
    return [
      { text: `${isLast ? "└─" : "├─"} ${line}`, note },
      ...drawTree(below).map((it) => ({ ...it, text: `${isLast ? "  " : "│ "} ${it.text}` })),
    ];
  });
}

/** What the terminal can show. */
export interface Look {
  /** 0: it does not tell. */
  readonly columns: number;
  readonly isColoured: boolean;
}

type Colour = "red" | "yellow" | "green";
const codes: Record<Colour, number> = { red: 31, green: 32, yellow: 33 };
const colours: Record<Note["kind"], Colour> = {
  missing: "red",
  stopped: "red",
  unhealthy: "yellow",
  changed: "yellow",
  unexpected: "yellow",
};

/** The least of a line that is left of it when the note behind it is long, in columns. */
const leastText = 16;

/**
 * The state for a terminal: the topology of the store as a tree of LANs, their deckies and services,
 * and behind each what is wrong with it.
 */
export async function stateTree(
  heartbeat: Heartbeat,
  images: ImageNames,
  { columns, isColoured }: Look,
): Promise<string> {
  const width = columns || 80;
  const paint = (text: string, colour: Colour) =>
    isColoured ? `\x1b[${codes[colour]}m${text}\x1b[0m` : text;
  const head = (line: StateLine, colour?: Colour) => {
    const text = cut(labelled(line), width);
    return colour ? paint(text, colour) : text;
  };
  const branch = ({ text, note }: TreeLine) => {
    const roomForWords = width - leastText - 2;
    if (!note || roomForWords < 1) return cut(sanitizeLine(text), width);
    const words = cut(sanitizeLine(note.text), roomForWords);
    const rest = cut(sanitizeLine(text), width - widthOf(words) - 2);
    return `${rest}  ${paint(words, colours[note.kind])}`;
  };
  const { observed, drift } = heartbeat.snapshot;
  const plan = await planOf(heartbeat, images);
  const unexpected = drift.state === "drifted" ? drift.unexpected : [];
  const lines = [
    ...storeLines(heartbeat).map((line) =>
      head(line, ({ store: "yellow", "last error": "red" } as const)[line[0]])
    ),
    ...(observed.kind === "failed" ? [head(["docker", observed.error], "red")] : []),
    head(["drift", driftText(heartbeat)], drift.state === "consistent" ? "green" : "yellow"),
    ...(plan ? ["", cut(sanitizeLine(`${prefixOf(plan)}…`), width)] : []),
    ...(plan ? drawTree(branchesOf(plan, notesOf(heartbeat))).map(branch) : []),
    ...(unexpected.length > 0 ? ["", cut("not of the topology", width)] : []),
    ...drawTree(unexpected.map(({ type, name, detail }): Branch => ({
      cells: [`${type} ${name}`],
      note: noteOf("unexpected", detail),
      below: [],
    }))).map(branch),
  ];
  return lines.map((line) => `${line}\n`).join("");
}

function driftText({ snapshot: { observed, drift } }: Heartbeat): string {
  if (drift.state === "unknown" || observed.kind === "failed") {
    return `unknown${"detail" in drift ? `: ${drift.detail}` : ""}`;
  }
  if (drift.state === "consistent") {
    const { bridges, containers } = observed;
    return `consistent: ${plural(bridges.length, "network")} and ${
      plural(containers.length, "container")
    } run`;
  }
  return `drifted: ${
    driftKinds.filter((kind) => drift[kind].length > 0)
      .map((kind) => `${drift[kind].length} ${kind}`).join(", ")
  }`;
}

/** The plan of what is stored; null when nothing is, or nothing that can be planned. */
async function planOf(
  { snapshot: { store } }: Heartbeat,
  images: ImageNames,
): Promise<Plan | null> {
  if (store.state !== "ok") return null;
  try {
    return await planDocument(store.applied.document, images);
  } catch {
    // The drift is unknown then, and tells why.
    return null;
  }
}

/** What is wrong with the planned objects, by type and name. */
function notesOf({ snapshot: { drift } }: Heartbeat): ReadonlyMap<string, Note> {
  if (drift.state !== "drifted") return new Map();
  return new Map(
    driftKinds.filter((kind) => kind !== "unexpected").flatMap((kind) =>
      drift[kind].map(({ type, name, detail }) => [`${type} ${name}`, noteOf(kind, detail)])
    ),
  );
}

function noteOf(kind: Note["kind"], detail: string): Note {
  return { kind, text: detail === "" ? kind : `${kind} (${detail})` };
}

/** What the names of all that is planned begin with. */
function prefixOf({ topologyId }: Plan): string {
  return `decnet_t_${topologyId.slice(0, 8)}_`;
}

function branchesOf(plan: Plan, notes: ReadonlyMap<string, Note>): Branch[] {
  const short = (name: string) => name.slice(prefixOf(plan).length);
  const deckies = [...Map.groupBy(plan.containers, ({ decky }) => decky).values()];
  const known = new Set(plan.networks.map(({ name }) => name));
  const firstLan = ([base]: PlannedContainer[]) =>
    [...base!.addressByNetwork.keys()].find((name) => known.has(name));
  const deckyOn = (lan: string | undefined, decky: PlannedContainer[]): Branch => {
    const [base, ...services] = decky;
    const first = firstLan(decky);
    return {
      cells: [
        base!.decky,
        lan === undefined ? "on no LAN" : base!.addressByNetwork.get(lan)!,
        // Its services are listed once.
        first === lan || services.length === 0 ? "" : `services: see ${short(first!)}`,
      ],
      note: notes.get(`container ${base!.name}`),
      below: first !== lan ? [] : services.map(({ name, service, request }): Branch => ({
        cells: [service!, request.Image],
        note: notes.get(`container ${name}`),
        below: [],
      })),
    };
  };
  return [
    ...plan.networks.map(({ name, subnet, internal }): Branch => ({
      cells: [short(name), subnet, internal ? "internal" : "DMZ"],
      note: notes.get(`network ${name}`),
      below: deckies.filter(([base]) => base!.addressByNetwork.has(name))
        .map((decky) => deckyOn(name, decky)),
    })),
    ...deckies.filter((decky) => firstLan(decky) === undefined)
      .map((decky) => deckyOn(undefined, decky)),
  ];
}
