import type { Heartbeat } from "../agent/heartbeat.ts";
import type { SendResult } from "../agent/sender.ts";
import { type Log, sanitizeLine } from "../host/log.ts";
import { replaceTextFile } from "../host/new_file.ts";
import type { LogStatus } from "../logs/status.ts";
import { driftKinds } from "../topology/drift.ts";
import type { ExitCode } from "./report.ts";

/** What a running agent remembers; a single check has no history. */
export type LoopHistory = Pick<
  MetricsFile,
  "startedAt" | "lastSuccessAt" | "heartbeats" | "isListening"
>;

/** Each metric and its help text; a name that ends in `_total` is a counter, the others are gauges. */
const helpTexts = {
  build_info: "The agent's version, and that of its runtime.",
  status_code: "The exit code of a check: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.",
  start_time_seconds: "When the agent started, in Unix seconds.",
  api_listening: "Whether the API listens; absent when it is off.",
  beats_total: "Heartbeats since the agent started, by result.",
  last_beat_attempt_timestamp_seconds: "When the last heartbeat was created, in Unix seconds.",
  last_beat_success_timestamp_seconds:
    "When the master last accepted a heartbeat of this process, in Unix seconds; 0: never.",
  master_latency_seconds: "Time until the last heartbeat was answered, or failed.",
  certificate_expiry_timestamp_seconds: "When the first certificate expires, in Unix seconds.",
  engine_up: "Whether the container engine answered.",
  engine_latency_seconds: "Time until the engine answered.",
  engine_info: "The versions that the engine reports.",
  networks: "Networks that the agent manages.",
  containers: "Running containers that the agent manages.",
  drift_objects: "Networks and containers that differ from the topology; absent while unknown.",
  store_state: "1 for the current state of the store, 0 for the others.",
  topology_error: "Whether the last apply or teardown failed.",
  topology_applied_timestamp_seconds: "When the stored topology was applied, in Unix seconds.",
  log_lines_sent_total: "Log lines of containers that were sent to the master.",
  log_lines_held_back_total: "Log lines that the master cannot take.",
  log_lines_cut_total: "Log lines that were too long, and were sent without their end.",
  log_gaps_total: "How many times Docker had removed log lines before they were read.",
  log_containers: "Containers whose log is read now.",
  log_behind_seconds: "How long the oldest log line has waited; 0 when none waits.",
} as const;

type Labels = Readonly<Record<string, string>>;
/** One value without labels, or several with them; null or none: the metric is left out. */
type Samples = number | boolean | null | readonly (readonly [labels: Labels, value: number])[];

/** Formats a heartbeat as metrics for Prometheus; docs/output.md lists the metrics. */
export function metricsText(
  heartbeat: Heartbeat,
  { code, loop = null, logs = null }: {
    code: ExitCode;
    /** Null for a single check. */
    loop?: LoopHistory | null;
    /** Null where lines are not forwarded. */
    logs?: LogStatus | null;
  },
): string {
  const { snapshot, body, result, certificates, checkedAt } = heartbeat;
  const { store, observed, engine, drift } = snapshot;
  const applied = store.kind === "ok" ? store.applied : null;
  const listed = observed.kind === "listed" ? observed : null;
  const isToBeSent = result.kind !== "not_configured" && result.kind !== "dry_run";
  const lastSuccessAt = loop?.lastSuccessAt ?? (result.kind === "delivered" ? checkedAt : 0);
  const storeStates = ["ok", "idle", "unreadable"] as const;
  const values: Record<keyof typeof helpTexts, Samples> = {
    build_info: [[{ version: body.agent_version, deno: Deno.version.deno }, 1]],
    status_code: code,
    start_time_seconds: seconds(loop?.startedAt),
    api_listening: loop?.isListening ?? null,
    beats_total: loop && [...loop.heartbeats].map(([result, count]) => [{ result }, count]),
    last_beat_attempt_timestamp_seconds: seconds(checkedAt),
    last_beat_success_timestamp_seconds: isToBeSent ? seconds(lastSuccessAt) : null,
    master_latency_seconds: seconds(result.latencyMs),
    certificate_expiry_timestamp_seconds: seconds(certificates?.expiresAt),
    engine_up: engine !== null,
    engine_latency_seconds: seconds(engine?.latencyMs),
    engine_info: engine &&
      [[{ version: engine.version ?? "", api_version: engine.apiVersion ?? "" }, 1]],
    networks: listed && listed.bridges.length,
    containers: listed && listed.containers.length,
    drift_objects: drift.state === "unknown"
      ? null
      : driftKinds.map((kind) => [{ kind }, drift[kind].length]),
    store_state: storeStates.map((state) => [{ state }, Number(store.kind === state)]),
    topology_error: store.kind === "unreadable" ? null : (applied?.lastError ?? null) !== null,
    topology_applied_timestamp_seconds: applied && applied.appliedAt > 0 ? applied.appliedAt : null,
    log_lines_sent_total: logs && logs.sent,
    log_lines_held_back_total: logs && logs.heldBack,
    log_lines_cut_total: logs && logs.cut,
    log_gaps_total: logs && logs.gaps,
    log_containers: logs && logs.followed,
    log_behind_seconds: logs && seconds(Date.now() - (logs.behindSince ?? Date.now())),
  };
  return Object.entries(helpTexts).map(([name, help]) =>
    metricText(name, help, values[name as keyof typeof helpTexts])
  ).join("");
}

function seconds(ms: number | null | undefined): number | null {
  return ms == null ? null : ms / 1000;
}

function metricText(name: string, help: string, samples: Samples): string {
  const fullName = `decnet_agent_${name}`;
  if (samples === null) return "";
  const all = typeof samples === "object" ? samples : [[{}, Number(samples)] as const];
  if (all.length === 0) return "";
  const type = name.endsWith("_total") ? "counter" : "gauge";
  const lines = all.map(([labels, value]) => `${fullName}${labelText(labels)} ${value}\n`);
  return `# HELP ${fullName} ${help}\n# TYPE ${fullName} ${type}\n${lines.join("")}`;
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) =>
    `${name}="${sanitizeLine(value).toWellFormed().replaceAll(/["\\]/g, "\\$&")}"`
  );
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

/** Writes metrics; returns the problem, or null. */
export function writeMetrics(
  path: string,
  heartbeat: Heartbeat,
  state: Parameters<typeof metricsText>[1],
): string | null {
  return replaceTextFile(path, metricsText(heartbeat, state));
}

/** The metrics file of a running agent, and the counters in it. */
export class MetricsFile {
  /** Milliseconds since 1970; the last success is 0 when there was none. */
  readonly startedAt = Date.now();
  lastSuccessAt = 0;
  readonly heartbeats: Map<SendResult["kind"], number> = new Map([
    ["delivered", 0],
    ["rejected", 0],
    ["unreachable", 0],
    ["not_configured", 0],
  ]);
  /** Null when the API is off. */
  isListening: boolean | null = null;
  readonly #log: Log;
  #path: string | null = null;
  #problem: string | null = null;

  /** Has no path at first. */
  constructor(log: Log) {
    this.#log = log;
  }

  /** Changes the path; null turns writing off. The old file stays. */
  moveTo(path: string | null): void {
    if (path !== this.#path) this.#problem = null;
    this.#path = path;
  }

  /** Counts a heartbeat. */
  count({ result: { kind }, checkedAt }: Heartbeat): void {
    this.heartbeats.set(kind, (this.heartbeats.get(kind) ?? 0) + 1);
    if (kind === "delivered") this.lastSuccessAt = checkedAt;
  }

  /** Writes the metrics of a heartbeat. Logs a problem once. Never throws. */
  write(heartbeat: Heartbeat, code: ExitCode, logs: LogStatus | null = null): void {
    if (this.#path === null) return;
    const problem = writeMetrics(this.#path, heartbeat, { code, loop: this, logs });
    if (problem === this.#problem) return;
    if (problem === null) this.#log("info", "the metrics are written again");
    else this.#log("error", problem, { subject: "textfile" });
    this.#problem = problem;
  }
}
