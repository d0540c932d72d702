import { Agent, fitReport, type Heartbeat, topologyReport } from "../agent/heartbeat.ts";
import type { HostSnapshot } from "../agent/snapshot.ts";
import { sanitizeLine } from "../host/log.ts";
import { describeRefusedPush } from "../store/history.ts";
import { driftKinds } from "../topology/drift.ts";
import { namePrefix } from "../topology/inventory.ts";
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

/** What `state` shows. */
export interface State {
  readonly heartbeat: Heartbeat;
  /** Null where no lines are forwarded. */
  readonly report: LogReport | null;
}

/** Reads the store, Docker, and what the running agent has stored of its log lines. */
export async function readState(
  { agent: options, logs }: Pick<Configuration, "agent" | "logs">,
): Promise<State> {
  const agent = new Agent({ ...options, master: null });
  const heartbeat = await agent.sendHeartbeat(AbortSignal.timeout(checkTimeoutMs));
  agent.close();
  return { heartbeat, report: logs && readLogReport(options.storePath) };
}

/** Runs `state`. The exit code is that of `--once` without a master. */
export async function printState(
  configuration: Configuration,
  json: boolean,
  terminal: Terminal,
): Promise<ExitCode> {
  const state = await readState(configuration);
  const { heartbeat: { body, snapshot }, report } = state;
  if (json) {
    printJson(terminal, fitReport(topologyReport(snapshot), (it) => it, jsonText));
    if (!body.topology) printLine(terminal, body.store.detail ?? "");
    if (snapshot.refused) printLine(terminal, describeRefusedPush(snapshot.refused));
  } else {
    const plan = await planOf(snapshot, configuration.agent.planOptions);
    terminal.stdout(stateText(state, plan, isColoured(terminal)));
  }
  return worst(findingsOf(state.heartbeat, report?.warnings));
}

/** SGR codes. */
const colours = { red: 31, green: 32, yellow: 33 } as const;
type Colour = keyof typeof colours;

type LabelledLine = readonly [label: string, value: string, colour?: Colour];

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
  /** Its type and name. */
  readonly object: string;
  readonly kind: (typeof driftKinds)[number];
  readonly detail: string;
}

/** Draws branches, and those below them, as lines. */
function drawTree(branches: readonly Branch[], noteText: (note: Note) => string): string[] {
  const widths = [0, 1].map((column) =>
    Math.max(0, ...branches.map(({ cells }) => cells[column]?.length ?? 0))
  );
  return branches.flatMap(({ cells, note, below }, index) => {
    const isLast = index === branches.length - 1;
    const line = cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ").trimEnd();
    const text = sanitizeLine(`${isLast ? "└─" : "├─"} ${line}`);
    return [
      note ? `${text}  ${noteText(note)}` : text,
      ...drawTree(below, noteText).map((it) => `${isLast ? "  " : "│ "} ${it}`),
    ];
  });
}

/**
 * Formats the state: lines with a label each, then the plan of the topology in the store as a tree of LANs,
 * deckies and services, each with how it differs. Without a plan, lists all objects that differ.
 */
export function stateText(
  { heartbeat, report }: State,
  plan: Plan | null,
  isColoured: boolean,
): string {
  const paint = (text: string, colour?: Colour) =>
    colour && isColoured ? `\x1b[${colours[colour]}m${text}\x1b[0m` : text;
  const noteText = ({ kind, detail }: Note) => {
    const words = sanitizeLine(detail === "" ? kind : `${kind} (${detail})`);
    return paint(words, kind === "missing" || kind === "stopped" ? "red" : "yellow");
  };
  const draw = (branches: readonly Branch[]) => drawTree(branches, noteText);
  const { observed, drift } = heartbeat.snapshot;
  const head = storeLines(heartbeat);
  if (observed.kind === "failed") head.push(["docker", observed.error, "red"]);
  else head.push(["docker", runningText(observed)]);
  head.push([
    "drift",
    driftText(heartbeat.snapshot),
    drift.state === "consistent" ? "green" : "yellow",
  ]);
  if (report) head.push(["log lines", report.text]);
  const lines = head.map(([label, value, colour]) =>
    paint(`${label.padEnd(14)}${sanitizeLine(value)}`, colour)
  );
  if (plan) {
    lines.push(
      "",
      `${namePrefix(plan.topologyId)}…`,
      ...draw(branchesOf(plan, heartbeat.snapshot)),
    );
  }
  const others = differencesOf(heartbeat.snapshot)
    .filter(({ kind }) => !plan || kind === "unexpected")
    .map((note): Branch => ({ cells: [note.object], note, below: [] }));
  if (others.length > 0) lines.push("", plan ? "not of the topology" : "differences");
  lines.push(...draw(others));
  return lines.map((line) => `${line}\n`).join("");
}

function driftText({ drift }: HostSnapshot): string {
  if (drift.state === "unknown") return `unknown: ${drift.detail}`;
  if (drift.state === "consistent") return "consistent";
  const counts = driftKinds.filter((kind) => drift[kind].length > 0)
    .map((kind) => `${drift[kind].length} ${kind}`);
  return `drifted: ${counts.join(", ")}`;
}

/** Plans the stored topology; null when there is none, or none that is valid. */
async function planOf({ store }: HostSnapshot, planOptions: PlanOptions): Promise<Plan | null> {
  if (store.kind !== "ok") return null;
  // A document that is not valid is reported as unknown drift.
  return await planDocument(store.applied.document, planOptions).catch(() => null);
}

function differencesOf({ drift }: HostSnapshot): Note[] {
  if (drift.state !== "drifted") return [];
  return driftKinds.flatMap((kind) =>
    drift[kind].map(({ type, name, detail }) => ({ kind, object: `${type} ${name}`, detail }))
  );
}

/** Returns the LANs with the deckies on them, then the deckies that are on no LAN. */
function branchesOf(plan: Plan, snapshot: HostSnapshot): Branch[] {
  const notes = new Map(differencesOf(snapshot).map((note) => [note.object, note]));
  const { observed } = snapshot;
  const published = observed.kind === "listed" ? observed.published : null;
  const shortName = (name: string) => name.slice(namePrefix(plan.topologyId).length);
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
