import type { Beat } from "../agent/mod.ts";
import { printable } from "../host/mod.ts";
import { driftKinds } from "../topology/mod.ts";

/** A line of what the state is: what it tells of, and what of it. */
export type StateLine = readonly [label: string, value: string];

/** What the store says, what runs, and how the two differ, for programs and people to read. */
export function stateText(beat: Beat): string {
  const { observed, drift } = beat.stock;
  const lines = storeLines(beat);
  if ("error" in observed) lines.push(["docker", observed.error]);
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
export function storeLines({ body: { topology, store } }: Beat): StateLine[] {
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
  return `${label.padEnd(14)}${printable(value)}`;
}

function timeText(seconds: number): string {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? String(seconds) : date.toISOString();
}
