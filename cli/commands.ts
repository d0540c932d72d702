import { Agent, type Beat, runLoop } from "../agent/mod.ts";
import { createLog, printable } from "../host/mod.ts";
import { hostAndPort } from "../master/mod.ts";
import { parseJson, versionHash } from "../topology/mod.ts";
import type { Configuration } from "./configuration.ts";
import { type ExitCode, worst } from "./exit.ts";
import { findingsOf } from "./findings.ts";
import { onceJson } from "./once_json.ts";
import { onceText } from "./once_text.ts";
import { stateText } from "./state_text.ts";
import type { Terminal } from "./terminal.ts";
import { agentVersion, versions } from "./version.ts";

/** A check ends within 10 s, whatever happens; this leaves room for start and end. */
const onceTimeoutMs = 9_500;
/** The part of it for the store and Docker; the rest is the master's. */
const stockTimeoutMs = 7_500;

/** `--version`. */
export function printVersion(json: boolean, terminal: Terminal): ExitCode {
  const { agent, deno, sqlite } = versions();
  if (json) printJson(terminal, { agent, deno, sqlite });
  else terminal.stdout(`decnet-agent ${agent} (Deno ${deno}, SQLite ${sqlite})\n`);
  return 0;
}

/** `hash`. Throws `Error` when the file cannot be read or is no document. */
export async function printHash(
  file: string,
  json: boolean,
  terminal: Terminal,
): Promise<ExitCode> {
  let hash: string;
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(await terminal.readInput(file));
    hash = await versionHash(parseJson(text));
  } catch (cause) {
    throw new Error(`Cannot hash ${file}: ${(cause as Error).message}`, { cause });
  }
  if (json) printJson(terminal, { version_hash: hash });
  else terminal.stdout(`${hash}\n`);
  return 0;
}

/** `--once`: one beat, as a line or as JSON; the exit code tells the worst of what was found. */
export async function check(
  { agent: options, warnings }: Configuration,
  { dryRun, json }: { dryRun: boolean; json: boolean },
  terminal: Terminal,
): Promise<ExitCode> {
  const agent = new Agent({ ...options, agentVersion });
  const beat = await agent.beat(AbortSignal.timeout(onceTimeoutMs), { dryRun, stockTimeoutMs });
  const findings = findingsOf(beat, warnings);
  if (json) printJson(terminal, onceJson(beat, findings, options.storePath));
  else terminal.stdout(`${onceText(beat, findings)}\n`);
  agent.close();
  return worst(findings);
}

/** `state`; the exit code is that of `--once`, but for what concerns the master. */
export async function printState(
  { agent: options }: Configuration,
  json: boolean,
  terminal: Terminal,
): Promise<ExitCode> {
  // What GET /topology/state would answer does not concern the master.
  const agent = new Agent({ ...options, agentVersion, master: null });
  const beat = await agent.beat(AbortSignal.timeout(onceTimeoutMs));
  const { topology, store } = beat.body;
  if (!json) terminal.stdout(stateText(beat));
  else {
    printJson(terminal, topology);
    if (!topology) terminal.stderr(`decnet-agent: ${printable(store.detail ?? "")}\n`);
  }
  agent.close();
  return worst(findingsOf(beat));
}

/** The loop, until the process is asked to stop. */
export async function loop(configuration: Configuration, terminal: Terminal): Promise<ExitCode> {
  const { agent: options, intervalMs } = configuration;
  const signal = terminal.stopSignal();
  const log = createLog(terminal.stderr);
  const { master, storePath, sockets, hostUuid } = options;
  log("info", "started", {
    version: agentVersion,
    master: master ? hostAndPort(master) : "none",
    ...(hostUuid === null ? {} : { host: hostUuid }),
    interval: `${intervalMs / 1000}s`,
    store: storePath,
    docker: sockets.join(","),
  });
  const agent = new Agent({ ...options, agentVersion });
  const onBeat = master ? undefined : printChanges(terminal);
  await runLoop(agent, signal, { intervalMs, log, ...(onBeat && { onBeat }) });
  agent.close();
  log("info", "stopped");
  return 0;
}

/** Without a master the beats are printed, each that differs from the one before, a line each. */
function printChanges(terminal: Terminal): (beat: Beat) => void {
  let printed = "";
  return ({ body }) => {
    const line = `${escapeControls(JSON.stringify(body))}\n`;
    if (line !== printed) terminal.stdout(line);
    printed = line;
  };
}

/** Prints a value as JSON for people. */
export function printJson(terminal: Terminal, value: unknown): void {
  terminal.stdout(`${escapeControls(JSON.stringify(value, null, 2))}\n`);
}

/** `JSON.stringify` leaves some characters as they are that a terminal obeys. */
function escapeControls(json: string): string {
  return json.replace(
    /[\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
