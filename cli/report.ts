import { fitReport, type Heartbeat, topologyReport } from "../agent/heartbeat.ts";
import { describeDrift } from "../agent/snapshot.ts";
import { sanitizeLine, shorten } from "../host/log.ts";
import { describeRefusedPush } from "../store/history.ts";
import { driftKinds } from "../topology/drift.ts";
import type { LogReport } from "./log_report.ts";
import { jsonText } from "./terminal.ts";

/** Exit codes and the words of monitoring plugins for them; a higher one is worse. */
export const statusWords = ["OK", "WARNING", "CRITICAL", "UNKNOWN"] as const;

/** 0 to 3. */
export type ExitCode = 0 | 1 | 2 | 3;

/** A problem that a check has found. */
interface Finding {
  readonly code: Exclude<ExitCode, 0>;
  readonly text: string;
}

/** Returns the worst code of the findings; 0 when there are none. */
export function worst(findings: readonly Finding[]): ExitCode {
  return findings.reduce<ExitCode>((code, finding) => finding.code > code ? finding.code : code, 0);
}

/** What happens to a damaged file; a check changes nothing. */
const damageAdvice = "a running agent, or the next apply or teardown, moves it away and starts " +
  "with an empty store";

/** Returns the problems of a heartbeat and of the configuration, the worst first (docs/output.md). */
export function findingsOf(
  { snapshot, body, result, certificates }: Heartbeat,
  warnings: readonly string[] = [],
): Finding[] {
  const findings: Finding[] = [];
  const add = (code: Finding["code"], text: string | null | undefined) => {
    if (typeof text === "string") findings.push({ code, text });
  };
  const hasNoCertificates = certificates?.expiresAt === null;
  const { store } = snapshot;
  if (store.kind !== "unreadable") add(1, body.store.detail);
  else add(3, store.reason === "damaged" ? `${store.detail}; ${damageAdvice}` : store.detail);
  add(hasNoCertificates ? 3 : 1, certificates?.problem);
  add(2, snapshot.observed.kind === "failed" ? snapshot.observed.error : null);
  if (!hasNoCertificates) add(2, result.error);
  const lastError = body.topology?.last_error ?? null;
  add(1, lastError === null ? null : `the last apply or teardown failed: ${lastError}`);
  add(1, snapshot.refused && describeRefusedPush(snapshot.refused));
  // Without Docker or the store, the drift is unknown for a reason that was added above.
  if (snapshot.engine && body.topology) add(1, describeDrift(snapshot.drift));
  for (const warning of warnings) add(1, warning);
  return findings.sort((a, b) => b.code - a.code);
}

/** Formats the result of a check as monitoring plugins do: status, text, `|`, performance data. */
export function onceText(heartbeat: Heartbeat, findings: readonly Finding[]): string {
  const data = perfdata(heartbeat);
  const line = `DECNET ${statusWords[worst(findings)]} - ${summary(heartbeat, findings)}`;
  return data === "" ? line : `${line} | ${data}`;
}

/** Formats the same line for an error before the check. */
export function failureText(message: string): string {
  return `DECNET ${statusWords[3]} - ${oneLine(message)}`;
}

/** Summarizes the findings; without any, what runs. */
export function summary({ snapshot, result }: Heartbeat, findings: readonly Finding[]): string {
  if (findings.length > 0) return oneLine(findings.map(({ text }) => text).join("; "));
  const { applied } = snapshot.store.kind === "ok" ? snapshot.store : { applied: null };
  const topology = applied
    ? `topology ${applied.topologyId} at ${applied.versionHash.slice(0, 12)}`
    : "idle";
  const { observed } = snapshot;
  const running = observed.kind === "failed" ? "Docker unreachable" : runningText(observed);
  return oneLine(`${topology}, ${running}, ${resultWords[result.kind]}`);
}

const resultWords = {
  delivered: "heartbeat sent",
  rejected: "heartbeat rejected",
  unreachable: "master unreachable",
  not_configured: "no master configured",
  dry_run: "heartbeat not sent (dry run)",
} as const;

/** Counts what runs: `2 networks and 1 container run`. */
export function runningText(
  { bridges, containers }: { bridges: readonly string[]; containers: readonly string[] },
): string {
  return `${plural(bridges.length, "network")} and ${plural(containers.length, "container")} run`;
}

/** Formats a count with its noun: `1 network`, `2 networks`. */
export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function perfdata({ snapshot, result }: Heartbeat): string {
  const { observed, engine, drift } = snapshot;
  const data: string[] = [];
  if (observed.kind === "listed") {
    data.push(`networks=${observed.bridges.length}`, `containers=${observed.containers.length}`);
  }
  if (drift.state !== "unknown") {
    const total = driftKinds.reduce((sum, kind) => sum + drift[kind].length, 0);
    data.push(`drift=${total}`);
  }
  if (engine) data.push(`docker=${seconds(engine.latencyMs)}`);
  if (result.latencyMs !== null) data.push(`master=${seconds(result.latencyMs)}`);
  return data.join(" ");
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(3)}s`;
}

/** The most bytes of a text before the performance data: some servers cut a line at 4 KiB. */
const maximumTextBytes = 3_500;

/** Removes what would break the line or look like performance data. */
function oneLine(text: string): string {
  const line = sanitizeLine(text).replaceAll("|", "/");
  const { read } = new TextEncoder().encodeInto(line, new Uint8Array(maximumTextBytes));
  return shorten(line, read);
}

/** Returns the result of a check for `--json` (docs/output.md); `logs` where lines are forwarded. */
export function onceJson(
  heartbeat: Heartbeat,
  findings: readonly Finding[],
  storePath: string,
  logs: LogReport | null = null,
) {
  const { snapshot, body, certificates, checkedAt } = heartbeat;
  return fitReport(topologyReport(snapshot), (topology) => ({
    ...statusJson(worst(findings), summary(heartbeat, findings)),
    agent_version: body.agent_version,
    host_uuid: body.host_uuid,
    checked_at: new Date(checkedAt).toISOString(),
    topology,
    drift: topology && topology.drift,
    store: { path: storePath, ...body.store },
    docker: dockerJson(heartbeat),
    master: masterJson(heartbeat),
    certificates: certificates && {
      expires_at: certificates.expiresAt === null
        ? null
        : new Date(certificates.expiresAt).toISOString(),
      problem: certificates.problem,
    },
    ...(logs && { logs: logs.json }),
  }), jsonText);
}

/** Returns the first fields of each result. */
export function statusJson(code: ExitCode, summary: string) {
  return { status: statusWords[code], exit_code: code, summary };
}

function dockerJson({ snapshot: { socket, engine, observed } }: Heartbeat) {
  const host = socket && `unix://${socket}`;
  if (observed.kind === "failed") return { host, error: observed.error };
  return {
    host,
    version: engine!.version,
    api_version: engine!.apiVersion,
    latency_ms: rounded(engine!.latencyMs),
  };
}

function masterJson({ result }: Heartbeat) {
  const { kind, url, httpStatus, latencyMs, error } = result;
  return {
    url,
    result: kind,
    http_status: httpStatus,
    latency_ms: latencyMs === null ? null : rounded(latencyMs),
    ...(error && { error }),
  };
}

/** Rounds to a tenth of a millisecond: the rest is noise. */
function rounded(ms: number): number {
  return Math.round(ms * 10) / 10;
}
