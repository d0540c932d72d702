import type { Beat } from "../agent/mod.ts";
import { printable } from "../host/mod.ts";
import { driftKinds } from "../topology/mod.ts";

/** What the store says, what runs, and how the two differ, for people to read. */
export function stateText({ stock: { observed, drift }, body }: Beat): string {
  const { topology, store } = body;
  const lines: [string, string][] = [];
  if (!topology) lines.push(["store", store.detail ?? store.state]);
  else if (topology.topology_id === null) lines.push(["topology", "none (idle)"]);
  else {
    lines.push(["topology", topology.topology_id]);
    lines.push(["hash", topology.applied_version_hash || "none: nothing applied yet"]);
    if (topology.applied_at) lines.push(["applied", timeText(topology.applied_at)]);
  }
  if (topology && store.detail) lines.push(["store", store.detail]);
  if (topology?.last_error) lines.push(["last error", topology.last_error]);
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
  return lines.map(([label, value]) => `${label.padEnd(14)}${printable(value)}\n`).join("");
}

function timeText(seconds: number): string {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? String(seconds) : date.toISOString();
}
