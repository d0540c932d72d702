import type { Heartbeat } from "../agent/heartbeat.ts";
import type { SendResult } from "../agent/sender.ts";
import { type Log, sanitizeLine } from "../host/log.ts";
import { TextFiles } from "../host/textfile.ts";
import { driftKinds } from "../topology/drift.ts";
import type { ExitCode } from "./report.ts";

/** What a loop knows of its past; a single check has none. */
export interface LoopHistory {
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  /** Likewise; 0: no beat has been delivered. */
  readonly lastSuccessAt: number;
  readonly heartbeats: ReadonlyMap<SendResult["kind"], number>;
  /** Null when it is not to listen. */
  readonly isListening: boolean | null;
}

type Labels = Readonly<Record<string, string>>;
/** One value without labels, or several with them; null or none: the metric is left out. */
type Samples = number | boolean | null | readonly (readonly [labels: Labels, value: number])[];
type Metric = readonly [name: string, type: "gauge" | "counter", help: string, samples: Samples];

/** What was found, in the text format of Prometheus; the metrics are listed in docs/protocol.md. */
export function metricsText(
  heartbeat: Heartbeat,
  { code, loop }: { code: ExitCode; loop: LoopHistory | null },
): string {
  return [
    ...metricsOfAgent(heartbeat, code, loop),
    ...metricsOfMaster(heartbeat, loop),
    ...metricsOfHost(heartbeat),
  ].map(written).join("");
}

function metricsOfAgent(heartbeat: Heartbeat, code: ExitCode, loop: LoopHistory | null): Metric[] {
  const build = { version: heartbeat.body.agent_version, deno: Deno.version.deno };
  return [
    ["build_info", "gauge", "The agent's version, and that of its runtime.", [[build, 1]]],
    [
      "status_code",
      "gauge",
      "What a check exits with: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.",
      code,
    ],
    [
      "start_time_seconds",
      "gauge",
      "When the loop started, in Unix seconds.",
      loop && seconds(loop.startedAt),
    ],
    [
      "api_listening",
      "gauge",
      "Whether the API listens, where it is to.",
      loop && loop.isListening,
    ],
  ];
}

function metricsOfMaster(
  { result, certificates, checkedAt }: Heartbeat,
  loop: LoopHistory | null,
): Metric[] {
  const isToBeSent = result.kind !== "not_configured" && result.kind !== "dry_run";
  const lastSuccessAt = loop ? loop.lastSuccessAt : result.kind === "delivered" ? checkedAt : 0;
  const expiresAt = certificates?.expiresAt ?? null;
  return [
    [
      "beats_total",
      "counter",
      "Beats since the loop started, by what became of them.",
      loop && [...loop.heartbeats].map(([result, count]) => [{ result }, count]),
    ],
    [
      "last_beat_attempt_timestamp_seconds",
      "gauge",
      "When the last beat was made, in Unix seconds.",
      seconds(checkedAt),
    ],
    [
      "last_beat_success_timestamp_seconds",
      "gauge",
      "When the master accepted a beat of this process last, in Unix seconds; 0 for never.",
      isToBeSent ? seconds(lastSuccessAt) : null,
    ],
    [
      "master_latency_seconds",
      "gauge",
      "Time until the master replied to the last beat, or failed to.",
      result.latencyMs === null ? null : seconds(result.latencyMs),
    ],
    [
      "certificate_expiry_timestamp_seconds",
      "gauge",
      "When the first certificate expires, in Unix seconds.",
      expiresAt === null ? null : seconds(expiresAt),
    ],
  ];
}

function metricsOfHost({ snapshot: { store, observed, engine, drift } }: Heartbeat): Metric[] {
  const applied = store.state === "ok" ? store.applied : null;
  const { bridges, containers } = observed.kind === "failed" ? {} : observed;
  return [
    ["engine_up", "gauge", "Whether the container engine answered.", engine !== null],
    [
      "engine_latency_seconds",
      "gauge",
      "Time until the engine had answered.",
      engine && seconds(engine.latencyMs),
    ],
    [
      "engine_info",
      "gauge",
      "The versions that the engine tells.",
      engine &&
      [[{ version: engine.version ?? "", api_version: engine.apiVersion ?? "" }, 1]],
    ],
    ["networks", "gauge", "Networks that are the agent's.", bridges?.length ?? null],
    ["containers", "gauge", "Running containers that are the agent's.", containers?.length ?? null],
    [
      "drift_objects",
      "gauge",
      "Networks and containers that are not as applied; absent while that is unknown.",
      drift.state === "unknown" ? null : driftKinds.map((kind) => [{ kind }, drift[kind].length]),
    ],
    [
      "store_state",
      "gauge",
      "1 for the state that the store is in, and 0 for the others.",
      (["ok", "idle", "unreadable"] as const).map((
        state,
      ) => [{ state }, Number(store.state === state)]),
    ],
    [
      "topology_error",
      "gauge",
      "Whether the last apply or teardown failed.",
      store.state === "unreadable" ? null : (applied?.lastError ?? null) !== null,
    ],
    [
      "topology_applied_timestamp_seconds",
      "gauge",
      "When the stored topology was applied, in Unix seconds.",
      applied && applied.appliedAt > 0 ? applied.appliedAt : null,
    ],
  ];
}

function seconds(ms: number): number {
  return ms / 1000;
}

function written([name, type, help, samples]: Metric): string {
  const fullName = `decnet_agent_${name}`;
  const all = typeof samples === "object" ? samples ?? [] : [[{}, Number(samples)] as const];
  if (all.length === 0) return "";
  const lines = all.map(([labels, value]) => `${fullName}${labelText(labels)} ${value}\n`);
  return `# HELP ${fullName} ${help}\n# TYPE ${fullName} ${type}\n${lines.join("")}`;
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) =>
    `${name}="${sanitizeLine(value).toWellFormed().replaceAll(/["\\]/g, "\\$&")}"`
  );
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

/** Writes the metrics of one check; answers why it cannot, or null. */
export async function writeMetrics(
  path: string,
  heartbeat: Heartbeat,
  code: ExitCode,
): Promise<string | null> {
  const files = await TextFiles.load();
  return problemOf(() => files.replace(path, metricsText(heartbeat, { code, loop: null })));
}

/** The file of metrics that a loop keeps up to date, wherever it is. */
export class MetricsFile {
  /** Whether the API listens; null when it is not to. */
  isListening: boolean | null = null;
  readonly #files: TextFiles;
  readonly #log: Log;
  readonly #startedAt: number;
  readonly #heartbeats = new Map<SendResult["kind"], number>(
    (["delivered", "rejected", "unreachable", "not_configured"] as const).map((it) => [it, 0]),
  );
  #path: string | null = null;
  #lastSuccessAt = 0;
  #problem: string | null = null;

  private constructor(files: TextFiles, { log, startedAt }: { log: Log; startedAt: number }) {
    this.#files = files;
    this.#log = log;
    this.#startedAt = startedAt;
  }

  /** A file that is nowhere yet; `startedAt` in milliseconds since 1970. */
  static async create(options: { log: Log; startedAt: number }): Promise<MetricsFile> {
    return new MetricsFile(await TextFiles.load(), options);
  }

  /** Has it written there from now on; null: nowhere. What was written stays where it is. */
  moveTo(path: string | null): void {
    if (path !== this.#path) this.#problem = null;
    this.#path = path;
  }

  /** Counts a heartbeat. */
  count({ result: { kind }, checkedAt }: Heartbeat): void {
    this.#heartbeats.set(kind, (this.#heartbeats.get(kind) ?? 0) + 1);
    if (kind === "delivered") this.#lastSuccessAt = checkedAt;
  }

  /** Writes what was found. A problem with writing is logged once. Never throws. */
  write(heartbeat: Heartbeat, code: ExitCode): void {
    const path = this.#path;
    if (path === null) return;
    const loop = {
      startedAt: this.#startedAt,
      lastSuccessAt: this.#lastSuccessAt,
      heartbeats: this.#heartbeats,
      isListening: this.isListening,
    };
    const problem = problemOf(() =>
      this.#files.replace(path, metricsText(heartbeat, { code, loop }))
    );
    if (problem !== this.#problem) {
      if (problem !== null) this.#log("warn", problem, { subject: "textfile" });
      else this.#log("info", "the metrics are written again");
    }
    this.#problem = problem;
  }
}

function problemOf(work: () => void): string | null {
  try {
    work();
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}
