import { Agent, fitReport, type Heartbeat, topologyReport } from "../agent/heartbeat.ts";
import type { HostSnapshot } from "../agent/snapshot.ts";
import { sanitizeLine } from "../host/log.ts";
import { describeRefusedPush } from "../store/history.ts";
import { driftKinds } from "../topology/drift.ts";
import {
  type Plan,
  planDocument,
  type PlannedContainer,
  type PlanOptions,
} from "../topology/plan.ts";
import { checkTimeoutMs } from "./check.ts";
import type { Configuration } from "./config.ts";
import { type LogReport, readLogReport } from "./log_report.ts";
import { type ExitCode, findingsOf, runningText, worst } from "./report.ts";
import { isColoured, jsonText, printJson, printLine, type Terminal } from "./terminal.ts";

/**
 * Runs `state`: prints what is applied and what runs, as a tree on a terminal. The exit code is that of
 * `--once` without a master.
 */
export async function printState(
  { agent: options, logs }: Pick<Configuration, "agent" | "logs">,
  json: boolean,
  terminal: Terminal,
): Promise<ExitCode> {
  const agent = new Agent({ ...options, master: null });
  const heartbeat = await agent.sendHeartbeat(AbortSignal.timeout(checkTimeoutMs));
  const { topology, store } = heartbeat.body;
  const report = logs && readLogReport(options.storePath);
  if (json) {
    printJson(terminal, fitReport(topologyReport(heartbeat.snapshot), (it) => it, jsonText));
    if (!topology) printLine(terminal, store.detail ?? "");
    const { refused } = heartbeat.snapshot;
    if (refused) printLine(terminal, describeRefusedPush(refused));
  } else if (terminal.stdoutIsTerminal()) {
    terminal.stdout(await stateTree(heartbeat, options.planOptions, isColoured(terminal)));
    if (report) terminal.stdout(`\n${logLine(report)}\n`);
  } else {
    terminal.stdout(stateText(heartbeat));
    if (report) terminal.stdout(`${logLine(report)}\n`);
  }
  agent.close();
  return worst(findingsOf(heartbeat, report?.warnings));
}

function logLine({ text }: LogReport): string {
  return labelled(["log lines", text]);
}

/** SGR codes. */
const colours = { red: 31, green: 32, yellow: 33 } as const;
type Colour = keyof typeof colours;

type LabelledLine = readonly [label: string, value: string, colour?: Colour];

/** Formats the state as lines with a label each, for a pipe or a file. */
export function stateText(heartbeat: Heartbeat): string {
  const { observed, drift } = heartbeat.snapshot;
  const lines = storeLines(heartbeat);
  if (observed.kind === "failed") lines.push(["docker", observed.error]);
  else {
    lines.push(["networks", observed.bridges.join(" ") || "none"]);
    lines.push(["containers", observed.containers.join(" ") || "none"]);
    for (const name of observed.containers) {
      const ports = observed.published.get(name);
      if (ports) lines.push(["published", `${ports.join(" ")} of ${name}`]);
    }
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

function storeLines({ body: { topology, store }, snapshot }: Heartbeat): LabelledLine[] {
  if (!topology) return [["store", store.detail ?? store.state, "yellow"]];
  const lines: LabelledLine[] = [["topology", topology.topology_id ?? "none (idle)"]];
  if (topology.topology_id !== null) {
    lines.push(["hash", topology.applied_version_hash || "none: nothing applied yet"]);
    if (topology.applied_at) lines.push(["applied", timeText(topology.applied_at)]);
  }
  if (store.detail) lines.push(["store", store.detail, "yellow"]);
  if (topology.last_error) lines.push(["last error", topology.last_error, "red"]);
  if (snapshot.refused) lines.push(["refused push", snapshot.refused.detail, "yellow"]);
  return lines;
}

function labelled([label, value]: LabelledLine): string {
  return `${label.padEnd(14)}${sanitizeLine(value)}`;
}

/** Formats a Unix time; a number that is no time stays as it is. */
function timeText(seconds: number): string {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? String(seconds) : date.toISOString();
}

/** A line of a tree, and the branches below it. */
interface Branch {
  /** The cells of siblings are aligned. */
  readonly cells: readonly string[];
  readonly note?: Note | undefined;
  readonly below: readonly Branch[];
}

/** How an object differs from the topology. */
interface Note {
  readonly kind: (typeof driftKinds)[number];
  readonly detail: string;
}

type TreeLine = Pick<Branch, "note"> & { readonly text: string };

/** Draws branches, and those below them, as lines. */
function drawTree(branches: readonly Branch[]): TreeLine[] {
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

/**
 * Formats the state for a terminal: the topology in the store as a tree of LANs, deckies and services,
 * each with how it differs.
 */
export async function stateTree(
  heartbeat: Heartbeat,
  planOptions: PlanOptions,
  isColoured: boolean,
): Promise<string> {
  const paint = (text: string, colour?: Colour) =>
    colour && isColoured ? `\x1b[${colours[colour]}m${text}\x1b[0m` : text;
  const draw = (branches: readonly Branch[]) =>
    drawTree(branches).map(({ text, note }) => {
      if (!note) return sanitizeLine(text);
      const { kind, detail } = note;
      const words = sanitizeLine(detail === "" ? kind : `${kind} (${detail})`);
      const colour = kind === "missing" || kind === "stopped" ? "red" : "yellow";
      return `${sanitizeLine(text)}  ${paint(words, colour)}`;
    });
  const { observed, drift } = heartbeat.snapshot;
  const head = storeLines(heartbeat);
  if (observed.kind === "failed") head.push(["docker", observed.error, "red"]);
  head.push(["drift", driftText(heartbeat), drift.state === "consistent" ? "green" : "yellow"]);
  const lines = head.map((line) => paint(labelled(line), line[2]));
  const plan = await planOf(heartbeat, planOptions);
  if (plan) lines.push("", `${prefixOf(plan)}…`, ...draw(branchesOf(plan, heartbeat.snapshot)));
  const unexpected = drift.state === "drifted" ? drift.unexpected : [];
  if (unexpected.length > 0) lines.push("", "not of the topology");
  lines.push(...draw(unexpected.map(({ type, name, detail }): Branch => ({
    cells: [`${type} ${name}`],
    note: { kind: "unexpected", detail },
    below: [],
  }))));
  return lines.map((line) => `${line}\n`).join("");
}

function driftText({ snapshot: { observed, drift } }: Heartbeat): string {
  if (drift.state === "unknown") return `unknown: ${drift.detail}`;
  if (observed.kind === "failed") return "unknown";
  if (drift.state === "consistent") return `consistent: ${runningText(observed)}`;
  const counts = driftKinds.filter((kind) => drift[kind].length > 0)
    .map((kind) => `${drift[kind].length} ${kind}`);
  return `drifted: ${counts.join(", ")}`;
}

/** Plans the stored topology; null when there is none, or none that is valid. */
async function planOf(
  { snapshot: { store } }: Heartbeat,
  planOptions: PlanOptions,
): Promise<Plan | null> {
  if (store.kind !== "ok") return null;
  try {
    return await planDocument(store.applied.document, planOptions);
  } catch {
    // A document that is not valid is reported as unknown drift.
    return null;
  }
}

/** Returns how planned objects differ, by type and name. */
function notesOf({ drift }: HostSnapshot): ReadonlyMap<string, Note> {
  if (drift.state !== "drifted") return new Map();
  const kinds = driftKinds.filter((kind) => kind !== "unexpected");
  return new Map(
    kinds.flatMap((kind) =>
      drift[kind].map(({ type, name, detail }) => [`${type} ${name}`, { kind, detail }])
    ),
  );
}

/** The prefix of all planned names. */
function prefixOf({ topologyId }: Plan): string {
  return `decnet_t_${topologyId.slice(0, 8)}_`;
}

/** Returns the LANs with the deckies on them, then the deckies that are on no LAN. */
function branchesOf(plan: Plan, snapshot: HostSnapshot): Branch[] {
  const notes = notesOf(snapshot);
  const { observed } = snapshot;
  const published = observed.kind === "listed" ? observed.published : null;
  const shortName = (name: string) => name.slice(prefixOf(plan).length);
  // The services of a decky are listed on its first LAN only.
  const draw = ([base, ...services]: readonly PlannedContainer[], lan?: string): Branch => {
    const { name, decky, addressByNetwork } = base!;
    const [first] = addressByNetwork.keys();
    const elsewhere = services.length > 0 ? `services: see ${shortName(first ?? "")}` : "";
    const ports = published?.get(name)?.join(" ");
    const here = ports === undefined ? "" : `publishes ${ports}`;
    return {
      cells: [
        decky,
        addressByNetwork.get(lan ?? "") ?? "on no LAN",
        first === lan ? here : elsewhere,
      ],
      note: notes.get(`container ${name}`),
      below: first !== lan ? [] : services.map(({ name, service, request }): Branch => ({
        cells: [service!, request.Image],
        note: notes.get(`container ${name}`),
        below: [],
      })),
    };
  };
  const deckies = [...Map.groupBy(plan.containers, ({ decky }) => decky).values()];
  const lans = plan.networks.map(({ name, subnet, internal }): Branch => ({
    cells: [shortName(name), subnet, internal ? "internal" : "DMZ"],
    note: notes.get(`network ${name}`),
    below: deckies.filter(([base]) => base!.addressByNetwork.has(name))
      .map((decky) => draw(decky, name)),
  }));
  const others = deckies.filter(([base]) => base!.addressByNetwork.size === 0);
  return [...lans, ...others.map((decky) => draw(decky))];
}
