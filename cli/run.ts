import { Agent, type Beat, type BeatBody, runLoop } from "../agent/mod.ts";
import { createLog } from "../host/mod.ts";
import { parseJson, versionHash } from "../topology/mod.ts";
import { type Arguments, parseArguments } from "./arguments.ts";
import { type Configuration, configure, type Surroundings } from "./configuration.ts";
import { type ExitCode, worst } from "./exit.ts";
import { findingsOf } from "./findings.ts";
import { helpText } from "./help.ts";
import { onceJson, statusJson } from "./once_json.ts";
import { failureText, onceText } from "./once_text.ts";
import { stateText } from "./state_text.ts";
import { agentVersion, versions } from "./version.ts";

/** A check ends within 10 s, whatever happens; this leaves room for start and end. */
const onceTimeoutMs = 9_500;

/** What the commands touch besides Docker, the store and the network. */
export interface Terminal extends Surroundings {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  /** The bytes of a file; `-` is standard input. */
  readonly readInput: (path: string) => Promise<Uint8Array>;
  /** Aborted when the process is asked to stop; from the first call on, no signal kills it. */
  readonly stopSignal: () => AbortSignal;
}

/** Runs one command line and answers the exit code. What fails is printed, never thrown. */
export async function run(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  try {
    return await runCommand(parseArguments(args), terminal);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    terminal.stderr(`decnet-agent: ${message}\n`);
    // Monitoring reads standard output only, and must see why there was no check.
    if (!args.includes("--once")) return 3;
    if (args.includes("--json")) printJson(terminal, statusJson(3, message));
    else terminal.stdout(`${failureText(message)}\n`);
    return 3;
  }
}

async function runCommand(args: Arguments, terminal: Terminal): Promise<ExitCode> {
  const { command, json } = args;
  switch (command.name) {
    case "help":
      terminal.stdout(helpText());
      return 0;
    case "version":
      return printVersion(json, terminal);
    case "hash":
      return await printHash(command.file, json, terminal);
  }
  const configuration = configure(args.values, args.config, terminal);
  for (const warning of configuration.warnings) terminal.stderr(`decnet-agent: ${warning}\n`);
  switch (command.name) {
    case "loop":
      return await loop(configuration, terminal);
    case "once":
      return await check(configuration, { ...command, json }, terminal);
    case "state":
      return await printState(configuration, json, terminal);
  }
}

function printVersion(json: boolean, terminal: Terminal): ExitCode {
  const { agent, deno, sqlite } = versions();
  if (json) printJson(terminal, { agent, deno, sqlite });
  else terminal.stdout(`decnet-agent ${agent} (Deno ${deno}, SQLite ${sqlite})\n`);
  return 0;
}

async function printHash(file: string, json: boolean, terminal: Terminal): Promise<ExitCode> {
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

async function check(
  { agent: options }: Configuration,
  { dryRun, json }: { dryRun: boolean; json: boolean },
  terminal: Terminal,
): Promise<ExitCode> {
  const agent = new Agent({ ...options, agentVersion });
  const beat = await agent.beat(AbortSignal.timeout(onceTimeoutMs), { dryRun });
  const findings = findingsOf(beat);
  if (json) printJson(terminal, onceJson(beat, findings, options.storePath));
  else terminal.stdout(`${onceText(beat, findings)}\n`);
  agent.close();
  return worst(findings);
}

async function printState(
  { agent: options }: Configuration,
  json: boolean,
  terminal: Terminal,
): Promise<ExitCode> {
  // What GET /topology/state would answer does not concern the master.
  const agent = new Agent({ ...options, agentVersion, master: null });
  const beat = await agent.beat(AbortSignal.timeout(onceTimeoutMs));
  if (json) printJson(terminal, beat.body.topology);
  else terminal.stdout(stateText(beat));
  const findings = findingsOf(beat);
  if (beat.body.topology === null) terminal.stderr(`decnet-agent: ${beat.body.store.detail}\n`);
  return worst(findings);
}

async function loop(configuration: Configuration, terminal: Terminal): Promise<ExitCode> {
  const { agent: options, intervalMs } = configuration;
  const signal = terminal.stopSignal();
  const log = createLog(terminal.stderr);
  const { master, storePath, sockets, hostUuid } = options;
  log("info", "started", {
    version: agentVersion,
    master: master ? `${master.host}:${master.port}` : "none",
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
    const line = beatLine(body);
    if (line !== printed) terminal.stdout(line);
    printed = line;
  };
}

function beatLine(body: BeatBody): string {
  return `${JSON.stringify(body)}\n`;
}

function printJson(terminal: Terminal, value: unknown): void {
  terminal.stdout(`${JSON.stringify(value, null, 2)}\n`);
}
