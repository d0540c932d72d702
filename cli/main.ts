import { noWait } from "../host/output.ts";
import { type Arguments, type Command, parseArguments } from "./args.ts";
import { check, checkTimeoutMs } from "./check.ts";
import { configureAndWarn } from "./config.ts";
import { type ExitCode, failureText, statusJson } from "./report.ts";
import { printJson, printLine, type Terminal } from "./terminal.ts";

/** Runs a command line and returns the exit code. Prints errors, never throws. */
export async function run(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  const endsAt = isCheck(args) ? performance.now() + checkTimeoutMs : undefined;
  let problem = null as string | null;
  const output: Terminal = {
    ...terminal,
    // After a text that was cut off, another one would look like its end.
    stdout: (text) => problem ??= terminal.stdout(text, endsAt),
    // What a check has found is on standard output, too.
    stderr: (text) => terminal.stderr(text, endsAt === undefined ? endsAt : noWait),
  };
  let code: ExitCode = 3;
  try {
    const parsed = parseArguments(args);
    if (parsed.command.name === "run") return await runCommand(parsed, withoutWaiting(terminal));
    code = await runCommand(parsed, output);
    // Output that could not be written must not look like a success.
    if (problem !== null && code === 0 && isQuery(parsed.command)) code = 3;
  } catch (error) {
    reportFailure(args, error, output);
  }
  if (problem !== null) printLine(output, `Cannot write to standard output: ${problem}`);
  return code;
}

/** Returns a terminal that leaves out what is not taken at once. */
function withoutWaiting(terminal: Terminal): Terminal {
  return {
    ...terminal,
    stdout: (text) => terminal.stdout(text, noWait),
    stderr: (text) => terminal.stderr(text, noWait),
  };
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
  return command.name !== "run" && command.name !== "teardown";
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
