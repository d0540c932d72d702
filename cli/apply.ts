import { Agent } from "../agent/heartbeat.ts";
import { Applier, type ApplierOptions, type ApplyResult, type Preview } from "../apply/applier.ts";
import { ApplyError, type ApplyErrorCode } from "../apply/apply_error.ts";
import type { RunOptions } from "../apply/reconcile.ts";
import { sanitizeLine } from "../host/log.ts";
import type { ContainerChange, NetworkChange } from "../topology/changes.ts";
import { specLabel } from "../topology/inventory.ts";
import { type ContainerRequest, hiddenValue, type PlannedContainer } from "../topology/plan.ts";
import { problemLines } from "../topology/problem.ts";
import type { CommandOf } from "./args.ts";
import { checkTimeoutMs } from "./check.ts";
import type { Configuration } from "./config.ts";
import { readDocumentOrStored } from "./document_file.ts";
import { type ExitCode, findingsOf, plural } from "./report.ts";
import { printJson, printLine, type Terminal } from "./terminal.ts";

const busy = "nothing was changed; run it again later";

/** What to do after an error whose message does not say so. */
const advice: Readonly<Record<Status, Readonly<Partial<Record<ApplyErrorCode, string>>>>> = {
  applied: {
    conflict:
      "nothing was changed; remove that topology first (decnet-agent teardown ID), or set supersede",
    busy,
    failed: "fix this, then run the same command again; correct objects are not touched",
  },
  torn_down: {
    conflict: "nothing was changed; give the id of that topology, or its first 8 characters",
    busy,
    failed: "fix this, then run the same command again",
  },
};

type Status = "applied" | "torn_down";

/** Runs `apply`. Throws `Error` when the document cannot be read, `ApplyError` with `--dry-run`. */
export async function apply(
  configuration: Configuration,
  command: CommandOf<"apply">,
  terminal: Terminal,
): Promise<ExitCode> {
  const { file, hash, dryRun, json } = command;
  const { storePath } = configuration.agent;
  const source = await readDocumentOrStored(file, storePath, terminal);
  const request = { ...source, expectedHash: hash };
  if (dryRun) {
    const { signal } = new AbortController();
    const preview = await applierOf(configuration).preview(request, signal);
    if (json) printJson(terminal, previewJson(preview));
    else terminal.stdout(previewText(preview));
    if (preview.conflict !== null) return 3;
    return obstaclesOf(preview).length > 0 ? 2 : 0;
  }
  const work = (applier: Applier, run: RunOptions) => applier.apply(request, run);
  return await runAndReport("applied", work, { configuration, command, terminal });
}

/** Runs `teardown`. */
export async function teardown(
  configuration: Configuration,
  command: CommandOf<"teardown">,
  terminal: Terminal,
): Promise<ExitCode> {
  const work = (applier: Applier, run: RunOptions) =>
    applier.teardown(command.topologyId, run, { byHand: true });
  return await runAndReport("torn_down", work, { configuration, command, terminal });
}

/** Returns what applies topologies here; the running agent has a fallback, and knows the socket. */
export function applierOf(
  { agent, supersede, listen }: Configuration,
  { sockets = agent.sockets, fallback }: Partial<Pick<ApplierOptions, "sockets" | "fallback">> = {},
): Applier {
  const { storePath, planOptions, master } = agent;
  return new Applier({ sockets, storePath, planOptions, master, listen, supersede, fallback });
}

async function runAndReport(
  status: Status,
  work: (applier: Applier, run: RunOptions) => Promise<ApplyResult>,
  { configuration, command: { noWait, json }, terminal }: {
    configuration: Configuration;
    command: CommandOf<"apply" | "teardown">;
    terminal: Terminal;
  },
): Promise<ExitCode> {
  const signal = terminal.stopSignal();
  const say = (text: string) => terminal.stderr(`${sanitizeLine(text)}\n`);
  try {
    const result = await work(applierOf(configuration), {
      signal,
      onProgress: ({ done, total, text }) => say(`[${done}/${total}] ${text}`),
      onWait: noWait
        ? undefined
        : (holder) => say(`waiting: another apply or teardown is running, by ${holder}`),
    });
    const { topologyId, versionHash, changes } = result;
    const warnings = await sendHeartbeat(configuration, signal);
    const exitCode = warnings.length > 0 ? 1 : 0;
    const id = { topology_id: topologyId, ...(versionHash && { version_hash: versionHash }) };
    if (json) printJson(terminal, { status, ...id, changes, exit_code: exitCode, warnings });
    else terminal.stdout(`${sanitizeLine(describe(status, result))}\n`);
    for (const warning of warnings) printLine(terminal, warning);
    return exitCode;
  } catch (error) {
    if (!(error instanceof ApplyError)) throw error;
    const exitCode = printError(error, json, terminal);
    const what = advice[status][error.code];
    const hasGivenUp = error.code === "busy" && noWait;
    // A signal is nothing to fix; the error says how to go on.
    const isInterrupted = error.code === "failed" && signal.aborted;
    if (what && !isInterrupted) {
      printLine(terminal, hasGivenUp ? `${what}, or without --no-wait` : what);
    }
    // The failure is recorded in the store, so the master is informed as after a success.
    if (exitCode === 2) await sendHeartbeat(configuration, signal);
    return exitCode;
  }
}

/** Returns what a check would report as problems. */
async function sendHeartbeat(
  { agent: options }: Configuration,
  signal: AbortSignal,
): Promise<string[]> {
  if (signal.aborted) return [];
  const agent = new Agent(options);
  const limit = AbortSignal.any([signal, AbortSignal.timeout(checkTimeoutMs)]);
  const heartbeat = await agent.sendHeartbeat(limit);
  agent.close();
  return findingsOf(heartbeat).map(({ text }) => text);
}

/** Prints an `ApplyError` and returns its exit code. Throws any other error again. */
export function printError(error: unknown, json: boolean, terminal: Terminal): ExitCode {
  if (!(error instanceof ApplyError)) throw error;
  const { code, message, details: { problems = [] } } = error;
  const exitCode = code === "failed" ? 2 : 3;
  const lines = problems.length > 0 ? problemLines(problems) : [message];
  terminal.stderr(`decnet-agent: ${lines.map(sanitizeLine).join("\n  ")}\n`);
  if (json) printJson(terminal, { status: code, exit_code: exitCode, error: message });
  return exitCode;
}

function describe(status: Status, { topologyId: id, changes, changed }: ApplyResult): string {
  const count = changes > 0 ? plural(changes, "change") : "no changes were necessary";
  if (status === "applied") return `topology ${id} applied: ${count}`;
  if (!changed) return `nothing found for topology ${id}`;
  return `topology ${id} torn down: ${changes > 0 ? count : "nothing of it was in Docker"}`;
}

/** Returns what `apply --dry-run --json` prints: the plan, its changes, the conflict and obstacles. */
export function previewJson(preview: Preview) {
  const { plan, versionHash } = preview.validated;
  const { networks, containers } = plan;
  return {
    topology_id: plan.topologyId,
    version_hash: versionHash,
    networks: networks.map(({ name, request }) => ({ name, request })),
    containers: containers.map((it) => ({
      name: it.name,
      base: it.base,
      request: withoutDigest(it),
    })),
    changes: changesOf(preview),
    conflict: preview.conflict,
    obstacles: obstaclesOf(preview),
  };
}

/** A short value that is hidden could be guessed by means of the digest. */
function withoutDigest({ request, hiddenValues }: PlannedContainer): ContainerRequest {
  if (hiddenValues.size === 0) return request;
  return { ...request, Labels: { ...request.Labels, [specLabel]: hiddenValue } };
}

/** Returns the same for people: a line for each object that would change, the conflict and obstacles. */
export function previewText(preview: Preview): string {
  const { plan, versionHash } = preview.validated;
  const changes = changesOf(preview);
  // A network and a container may have the same name.
  const objects = [...Map.groupBy(changes, ({ type, name }) => `${type} ${name}`)];
  const width = Math.max(0, ...objects.map(([object]) => object.length));
  return [
    `topology ${plan.topologyId} at ${versionHash}`,
    ...objects.map(([object, its]) => `${object.padEnd(width)}  ${actionText(its)}`),
    changes.length === 0 ? "nothing would change" : plural(changes.length, "change"),
    ...(preview.conflict === null ? [] : [`refused: ${preview.conflict}`]),
    ...obstaclesOf(preview).map((obstacle) => `obstacle: ${obstacle}`),
  ].map((line) => `${sanitizeLine(line)}\n`).join("");
}

/** A change, as `--json` prints it. */
type ChangeJson = ReturnType<typeof changeJson>;

function changesOf({ removals, changes }: Preview): ChangeJson[] {
  return [
    ...removals.containers.map((it) => changeJson("container", it)),
    ...removals.networks.map((it) => changeJson("network", it)),
    ...changes.networks.map((it) => changeJson("network", it)),
    ...changes.containers.map((it) => changeJson("container", it)),
  ];
}

function changeJson(type: "network" | "container", change: NetworkChange | ContainerChange) {
  const { name } = change.action === "remove" ? change.actual : change.planned;
  return { action: change.action, type, name, reason: change.reason };
}

function obstaclesOf({ removals, changes }: Preview): string[] {
  return [...removals.obstacles, ...changes.obstacles];
}

/** An object that is removed and created is shown as recreated. */
function actionText(changes: readonly ChangeJson[]): string {
  const creation = changes.find(({ action }) => action === "create");
  const { action, reason } = creation ?? changes[0]!;
  return `${creation && changes.length > 1 ? "recreate" : action}: ${reason}`;
}
