import { Agent } from "../agent/heartbeat.ts";
import { sanitizeLine } from "../host/log.ts";
import { type Arguments, parseArguments } from "./args.ts";
import { type Configuration, configure } from "./config.ts";
import { agentVersion } from "./options.ts";
import {
  type ExitCode,
  failureText,
  findingsOf,
  onceJson,
  onceText,
  statusJson,
  worst,
} from "./report.ts";
import { printJson, type Terminal, thisProcess } from "./terminal.ts";

/** Does what a command line asks for. What it throws is printed. */
export type CarryOut = (args: Arguments, terminal: Terminal) => Promise<ExitCode>;

/** Runs one command line and answers the exit code. What fails is printed, never thrown. */
export async function runWith(
  carryOut: CarryOut,
  args: readonly string[],
  terminal: Terminal,
): Promise<ExitCode> {
  let isLost = false;
  const watched: Terminal = {
    ...terminal,
    stdout: (text) => {
      const result = terminal.stdout(text);
      isLost ||= result === "lost";
      return result;
    },
  };
  try {
    const { command, ...rest } = parseArguments(args);
    const code = await carryOut({ command, ...rest }, watched);
    // Whoever waits for an answer must not take silence for a good one.
    return isLost && code === 0 && isQuestion(command) ? 3 : code;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    terminal.stderr(`decnet-agent: ${sanitizeLine(message)}\n`);
    // Monitoring reads standard output only, and must see why there was no check.
    const isCheck = args.some((argument) => argument.split("=")[0] === "--once");
    if (args.includes("--json") && (isCheck || args.includes("doctor"))) {
      printJson(terminal, statusJson(3, message));
    } else if (isCheck) terminal.stdout(`${failureText(message)}\n`);
    return 3;
  }
}

/** Whether what is printed is all that a command is for. */
function isQuestion(command: Arguments["command"]): boolean {
  const { name } = command;
  if (name === "apply") return command.dryRun;
  return name !== "loop" && name !== "teardown";
}

/** `--once`, with the configuration that the command line leads to. */
export const once: CarryOut = async ({ command, json, values, config }, terminal) => {
  if (command.name !== "once") throw new TypeError(`--once does not go with ${command.name}`);
  const configuration = configure(values, config, terminal);
  printWarnings(configuration, terminal);
  return await check(configuration, { ...command, json }, terminal);
};

/** Tells what of the configuration an operator should look at. */
export function printWarnings({ warnings }: Configuration, terminal: Terminal): void {
  for (const warning of warnings) terminal.stderr(`decnet-agent: ${sanitizeLine(warning)}\n`);
}

/** A check ends within 10 s, whatever happens; this leaves room for start and end. */
export const onceTimeoutMs = 9_500;
/** The part of it for the store and Docker; the rest is the master's. */
const snapshotTimeoutMs = 7_500;

/** `--once`: one beat, as a line or as JSON; the exit code tells the worst of what was found. */
async function check(
  { agent: options, warnings, textfile }: Configuration,
  { dryRun, quiet, json }: { dryRun: boolean; quiet: boolean; json: boolean },
  terminal: Terminal,
): Promise<ExitCode> {
  const agent = new Agent({ ...options, agentVersion });
  const heartbeat = await agent.sendHeartbeat(AbortSignal.timeout(onceTimeoutMs), {
    dryRun,
    snapshotTimeoutMs,
  });
  const findings = findingsOf(heartbeat, warnings);
  if (textfile !== null) {
    const { writeMetrics } = await import("./metrics.ts");
    const problem = await writeMetrics(textfile, heartbeat, worst(findings));
    if (problem !== null) findings.push({ code: 1, text: problem });
  }
  if (json) printJson(terminal, onceJson(heartbeat, findings, options.storePath));
  else if (!quiet || findings.length > 0) terminal.stdout(`${onceText(heartbeat, findings)}\n`);
  agent.close();
  return worst(findings);
}

/** Runs a command line with `--once` in it; the answer is the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  return await runWith(once, args, thisProcess);
}
