import type { Beat } from "../agent/mod.ts";
import { printable } from "../host/mod.ts";
import { driftKinds } from "../topology/mod.ts";
import { type Finding, statusWords, worst } from "./exit.ts";

/**
 * The result of a check as one line in the form of monitoring plugins: status, text, and behind `|`
 * the performance data.
 */
export function onceText(beat: Beat, findings: readonly Finding[]): string {
  const data = perfdata(beat);
  const line = `DECNET ${statusWords[worst(findings)]} - ${summary(beat, findings)}`;
  return data === "" ? line : `${line} | ${data}`;
}

/** The same line for a failure that came before anything could be checked. */
export function failureText(message: string): string {
  return `DECNET ${statusWords[3]} - ${oneLine(message)}`;
}

/** What was found, in a few words. */
export function summary({ stock, delivery }: Beat, findings: readonly Finding[]): string {
  if (findings.length > 0) return oneLine(findings.map(({ text }) => text).join("; "));
  const { applied } = stock.store.state === "ok" ? stock.store : { applied: null };
  const topology = applied
    ? `topology ${applied.topologyId} at ${applied.versionHash.slice(0, 12)}`
    : "idle";
  return oneLine(`${topology}, ${counts(stock)}, ${deliveryWords[delivery.result]}`);
}

const deliveryWords = {
  delivered: "beat delivered",
  rejected: "beat rejected",
  unreachable: "master unreachable",
  not_configured: "no master configured",
  dry_run: "beat not sent (dry run)",
} as const;

function counts({ observed }: Beat["stock"]): string {
  if ("error" in observed) return "Docker unreachable";
  return `${plural(observed.bridges.length, "network")} and ${
    plural(observed.containers.length, "container")
  } run`;
}

/** A count and its noun: `1 network`, `2 networks`. */
export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function perfdata({ stock, delivery }: Beat): string {
  const { observed, engine, drift } = stock;
  const data: string[] = [];
  if (!("error" in observed)) {
    data.push(`networks=${observed.bridges.length}`, `containers=${observed.containers.length}`);
  }
  if (drift.state !== "unknown") {
    const total = driftKinds.reduce((sum, kind) => sum + drift[kind].length, 0);
    data.push(`drift=${total}`);
  }
  if (engine) data.push(`docker=${seconds(engine.latencyMs)}`);
  if ("latencyMs" in delivery && delivery.latencyMs !== null) {
    data.push(`master=${seconds(delivery.latencyMs)}`);
  }
  return data.join(" ");
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(3)}s`;
}

/** Text from outside must not break the line, nor pass for performance data. */
function oneLine(text: string): string {
  return printable(text).replaceAll("|", "/");
}
