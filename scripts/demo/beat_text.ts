import { describeDrift } from "../../agent/change_log.ts";
import type { HeartbeatBody } from "../../agent/heartbeat.ts";
import type { KnownDrift } from "../../agent/snapshot.ts";
import type { Detail } from "./narrator.ts";

/** A beat that the master has received and accepted. */
export interface Receipt {
  /** Counted from 1 over all the times that the master ran. */
  readonly number: number;
  /** The common name of the certificate that the sender has proved to own. */
  readonly sender: string;
  readonly body: HeartbeatBody;
}

/** A received beat in full: every name in it. */
export function fullText({ body: { topology } }: Receipt): Detail[] {
  if (topology === null) return [["store", "unreadable"]];
  const { observed, drift } = topology;
  return [
    ["topology", topologyText(topology.topology_id, topology.applied_version_hash)],
    ...("error" in observed ? [["error", observed.error] as const] : [
      ["networks", namesText(observed.bridges)] as const,
      ["containers", namesText(observed.containers)] as const,
    ]),
    ["drift", driftText(drift)],
  ];
}

/** A received beat in short: how many, not which. */
export function shortText(receipt: Receipt): Detail[] {
  const { topology } = receipt.body;
  if (topology === null || "error" in topology.observed) return fullText(receipt);
  const { bridges, containers } = topology.observed;
  return [
    ["running", `${count(bridges, "network")}, ${count(containers, "container")}`],
    ["drift", driftText(topology.drift)],
  ];
}

/** A received beat in one line. */
export function essence(receipt: Receipt): string {
  return fullText(receipt).map(([label, value]) => `${label} ${value}`).join("; ");
}

/** `1 network`, `2 networks`. */
export function count(items: readonly unknown[], noun: string, nouns = `${noun}s`): string {
  return `${items.length} ${items.length === 1 ? noun : nouns}`;
}

function driftText(drift: KnownDrift): string {
  if (drift.state === "unknown") return `unknown: ${drift.detail}`;
  return describeDrift(drift) ?? "none";
}

function topologyText(id: string | null, hash: string | null): string {
  return id === null
    ? "none: the demo's own store is empty"
    : `${id}, version ${hash?.slice(0, 12)}…`;
}

/** Their number, and the names, what all begin with being written once. */
function namesText(names: readonly string[]): string {
  if (names.length === 0) return "none";
  const start = names.length === 1 ? "" : commonStart(names);
  const ends = names.map((name) => name.slice(start.length)).join(", ");
  return `${names.length}: ${start === "" ? ends : `${start}{${ends}}`}`;
}

/** What all names begin with, up to a `_` or `-`. */
function commonStart([first = "", ...others]: readonly string[]): string {
  let start = first;
  while (!others.every((name) => name.startsWith(start))) start = start.slice(0, -1);
  return start.slice(0, Math.max(start.lastIndexOf("_"), start.lastIndexOf("-")) + 1);
}
