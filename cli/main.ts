import { sanitizeLine } from "../host/log.ts";
import { noWait } from "../host/output.ts";
import { type Arguments, type Command, parseArguments } from "./args.ts";
import { check, checkTimeoutMs } from "./check.ts";
import { configureAndWarn } from "./config.ts";
import { type ExitCode, failureText, statusJson } from "./report.ts";
import { printJson, printLine, type Terminal } from "./terminal.ts";

/** Runs a command line and returns the exit code. Prints errors, never throws. */
export async function run(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  const output = new CommandOutput(terminal, isCheck(args) ? checkTimeoutMs : null);
  try {
    const parsed = parseArguments(args);
    if (parsed.command.name === "daemon") return await runCommand(parsed, withoutWaiting(terminal));
    const code = await runCommand(parsed, output.terminal);
    // Output that could not be written must not look like a success.
    return output.tellProblem() && code === 0 && isQuery(parsed.command) ? 3 : code;
  } catch (error) {
    reportFailure(args, error, output.terminal);
    output.tellProblem();
    return 3;
  }
}

/** Returns a terminal that leaves out what is not taken at once. */
function withoutWaiting(terminal: Terminal): Terminal {
  return {
    ...terminal,
    stdout: (text) => terminal.stdout(text, noWait),
    stderr: (text) => terminal.stderr(text, noWait),
  };
}

/** The standard output of a command that ends, and why it could not be written. */
class CommandOutput {
  readonly terminal: Terminal;
  #problem: string | null = null;

  /** `timeoutMs` limits the whole command; null: each text waits as long as its reader takes some of it. */
  constructor(terminal: Terminal, timeoutMs: number | null) {
    const endsAt = timeoutMs === null ? null : performance.now() + timeoutMs;
    const limit = () =>
      endsAt === null ? undefined : { ms: endsAt - performance.now(), isRenewed: false };
    this.terminal = {
      ...terminal,
      // After a text that was cut off, another one would look like its end.
      stdout: (text) => this.#problem ??= terminal.stdout(text, limit()),
      // What a check has found is on standard output, too.
      stderr: (text) => terminal.stderr(text, endsAt === null ? undefined : noWait),
    };
  }

  /** Prints why the output could not be written; returns false when all was written. */
  tellProblem(): boolean {
    if (this.#problem === null) return false;
    const text = `Cannot write to standard output: ${this.#problem}`;
    this.terminal.stderr(`decnet-agent: ${sanitizeLine(text)}\n`);
    return true;
  }
}

/** Runs a command. All but the check are loaded when they are needed, so that a check starts fast. */
async function runCommand(parsed: Arguments, terminal: Terminal): Promise<ExitCode> {
  const { command, json } = parsed;
  if (command.name === "once") {
    return await check(configureAndWarn(parsed, terminal), { ...command, json }, terminal);
  }
  const { runOtherCommand } = await import("./commands.ts");
  return await runOtherCommand(command, parsed, terminal);
}

/** Whether a command is run for its output only. */
function isQuery(command: Command): boolean {
  if (command.name === "apply") return command.dryRun;
  return command.name !== "daemon" && command.name !== "teardown";
}

function reportFailure(args: readonly string[], error: unknown, terminal: Terminal): void {
  const message = error instanceof Error ? error.message : String(error);
  printLine(terminal, message);
  // Monitoring reads standard output only, and must see why there was no check.
  if (args.includes("--json") && (isCheck(args) || args.includes("doctor"))) {
    printJson(terminal, statusJson(3, message));
  } else if (isCheck(args)) terminal.stdout(`${failureText(message)}\n`);
}

function isCheck(args: readonly string[]): boolean {
  return args.some((argument) => argument.split("=")[0] === "--once");
}
