import { type Arguments, type Command, parseArguments } from "./args.ts";
import { check } from "./check.ts";
import { configureAndWarn } from "./config.ts";
import { type ExitCode, failureText, statusJson } from "./report.ts";
import { printJson, printLine, type Terminal } from "./terminal.ts";

/** Runs a command line and returns the exit code. Prints errors, never throws. */
export async function run(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
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
    const parsed = parseArguments(args);
    const code = await runCommand(parsed, watched);
    // Output that could not be written must not look like a success.
    return isLost && code === 0 && isQuery(parsed.command) ? 3 : code;
  } catch (error) {
    reportFailure(args, error, terminal);
    return 3;
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
  const isCheck = args.some((argument) => argument.split("=")[0] === "--once");
  if (args.includes("--json") && (isCheck || args.includes("doctor"))) {
    printJson(terminal, statusJson(3, message));
  } else if (isCheck) terminal.stdout(`${failureText(message)}\n`);
}
