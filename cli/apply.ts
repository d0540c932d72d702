import { Agent } from "../agent/heartbeat.ts";
import { Applier } from "../apply/applier.ts";
import type { ProgressEvent, RunOptions } from "../apply/executor.ts";
import { ApplyError, examine } from "../apply/validated_document.ts";
import { sanitizeLine } from "../host/log.ts";
import type { Json } from "../topology/json.ts";
import type { Configuration } from "./config.ts";
import { readDocument, readStoredDocument } from "./document_file.ts";
import { agentVersion } from "./options.ts";
import { previewJson, previewText } from "./preview.ts";
import { type ExitCode, findingsOf, plural } from "./report.ts";
import { printJson, type Terminal } from "./terminal.ts";

const clearLine = "\r\x1b[K";

/** Tells on standard error what is being done: in one line that changes, or in a line each. */
export class Progress {
  readonly #terminal: Pick<Terminal, "stderr" | "columns">;
  #isLineOpen = false;

  constructor(terminal: Pick<Terminal, "stderr" | "columns">) {
    this.#terminal = terminal;
  }

  /** Something has been done. */
  step({ done, total, text }: ProgressEvent): void {
    this.#write(`[${done}/${total}] ${text}`);
  }

  /** Somebody else is at it. */
  waiting(holder: string): void {
    this.#write(`waiting: another apply or teardown is under way, by ${holder}`);
  }

  /** Leaves the terminal as it was. */
  end(): void {
    if (this.#isLineOpen) this.#terminal.stderr(clearLine);
    this.#isLineOpen = false;
  }

  #write(text: string): void {
    // A terminal that was never told its size says 0.
    const columns = this.#terminal.columns() || null;
    const line = sanitizeLine(text);
    // A line that is broken in two could not be written over.
    this.#terminal.stderr(columns ? clearLine + line.slice(0, columns - 1) : `${line}\n`);
    this.#isLineOpen = columns !== null;
  }
}

/** The beat at the end gets as long as a check. */
const heartbeatTimeoutMs = 9_500;

/** What to do about a refusal that does not say so itself. */
const nextSteps: ReadonlyMap<ApplyError["code"], string> = new Map([
  [
    "conflict",
    "nothing was changed; take that one down first (decnet-agent teardown ID), or set supersede",
  ],
  ["busy", "nothing was changed; run it again later, or without --no-wait"],
  ["failed", "when that is mended, run it again: what is right already is left alone"],
]);

/** How `apply` and `teardown` are run. */
interface ApplyFlags {
  readonly noWait: boolean;
  readonly json: boolean;
}

/** What has been done, as it is printed. */
interface Done {
  readonly status: "applied" | "torn_down";
  readonly topology_id: string;
  readonly version_hash?: string;
  readonly changes: number;
}

/** What is to be applied. */
interface ApplySource {
  /** `-` is standard input; null is what the store holds. */
  readonly file: string | null;
  /** The version hash that the document must have, or null. */
  readonly hash: string | null;
}

/** `apply`. Throws `Error` when the document cannot be read. */
export async function applyFile(
  configuration: Configuration,
  { file, hash, ...manner }: ApplyFlags & ApplySource,
  terminal: Terminal,
): Promise<ExitCode> {
  const { document, stored } = await documentOf(file, configuration, terminal);
  const { images } = configuration.agent;
  return await carryOut(configuration, manner, terminal, async (applier, options) => {
    const validated = await examine(document, { expectedHash: hash, images });
    const { topologyId, changes } = await applier.apply(validated, { ...options, stored });
    const { versionHash } = validated;
    return { status: "applied", topology_id: topologyId, version_hash: versionHash, changes };
  });
}

/** `teardown`. */
export async function teardown(
  configuration: Configuration,
  { topologyId, ...manner }: ApplyFlags & { topologyId: string },
  terminal: Terminal,
): Promise<ExitCode> {
  return await carryOut(configuration, manner, terminal, async (applier, options) => {
    const { changes } = await applier.teardown(topologyId, options);
    return { status: "torn_down", topology_id: topologyId, changes };
  });
}

/** `apply --dry-run`: what would be, and what an apply would do. Throws as `apply`. */
export async function previewFile(
  { agent, supersede }: Configuration,
  { file, hash, json }: ApplySource & { json: boolean },
  terminal: Terminal,
): Promise<ExitCode> {
  const { document } = await documentOf(file, { agent }, terminal);
  try {
    const validated = await examine(document, { expectedHash: hash, images: agent.images });
    const applier = new Applier({ ...agent, supersede });
    const preview = await applier.preview(validated, new AbortController().signal);
    if (json) printJson(terminal, previewJson(validated, preview));
    else terminal.stdout(previewText(validated, preview));
    if (preview.conflict !== null) return 3;
    return preview.changes.obstacles.length + preview.removals.obstacles.length > 0 ? 2 : 0;
  } catch (error) {
    return reportRefusal(error, json, terminal);
  }
}

/** The document, and its text as the store holds it, where it comes from there. */
async function documentOf(
  file: string | null,
  { agent }: Pick<Configuration, "agent">,
  terminal: Terminal,
): Promise<{ document: Json; stored?: string }> {
  if (file !== null) return { document: await readDocument(file, terminal) };
  return await readStoredDocument(agent.storePath);
}

async function carryOut(
  { agent: options, supersede }: Configuration,
  { noWait, json }: ApplyFlags,
  terminal: Terminal,
  work: (applier: Applier, options: RunOptions) => Promise<Done>,
): Promise<ExitCode> {
  const signal = terminal.stopSignal();
  const progress = new Progress(terminal);
  let code: ExitCode;
  try {
    const done = await work(new Applier({ ...options, supersede }), {
      signal,
      onProgress: (step) => progress.step(step),
      onWait: noWait ? undefined : (holder) => progress.waiting(holder),
    });
    progress.end();
    const warnings = await sendHeartbeat(options, signal);
    code = warnings.length > 0 ? 1 : 0;
    if (json) printJson(terminal, { ...done, exit_code: code, warnings });
    else terminal.stdout(`${describe(done)}\n`);
    for (const warning of warnings) terminal.stderr(`decnet-agent: ${sanitizeLine(warning)}\n`);
  } catch (error) {
    progress.end();
    code = reportRefusal(error, json, terminal);
    const advice = nextSteps.get((error as ApplyError).code);
    if (advice) terminal.stderr(`decnet-agent: ${advice}\n`);
    // The master learns of a failure as it does of a success.
    if (code === 2) await sendHeartbeat(options, signal);
  }
  return code;
}

/** Tells the master at once; answers what is not as it should be. */
async function sendHeartbeat(
  options: Configuration["agent"],
  signal: AbortSignal,
): Promise<string[]> {
  if (signal.aborted) return [];
  const agent = new Agent({ ...options, agentVersion });
  const limit = AbortSignal.any([signal, AbortSignal.timeout(heartbeatTimeoutMs)]);
  const heartbeat = await agent.sendHeartbeat(limit);
  agent.close();
  return findingsOf(heartbeat).map(({ text }) => text);
}

/** Prints why nothing was done, or why not all; throws on what is no refusal. */
function reportRefusal(error: unknown, json: boolean, terminal: Terminal): ExitCode {
  if (!(error instanceof ApplyError)) throw error;
  const { code: kind, message } = error;
  const code = kind === "failed" ? 2 : 3;
  // Each problem of a document gets a line of its own.
  const text = sanitizeLine(message).replaceAll(/(?:: |; )(?=\[[A-Z_]+\] )/g, "\n  ");
  terminal.stderr(`decnet-agent: ${text}\n`);
  if (json) printJson(terminal, { status: kind, exit_code: code, error: message });
  return code;
}

function describe({ status, topology_id, changes }: Done): string {
  const words = { applied: "applied", torn_down: "torn down" }[status];
  const count = changes === 0 ? "nothing had to change" : plural(changes, "change");
  return sanitizeLine(`topology ${topology_id} ${words}: ${count}`);
}
