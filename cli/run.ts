import { printable } from "../host/mod.ts";
import { type Arguments, parseArguments } from "./arguments.ts";
import type { ExitCode } from "./exit.ts";
import { statusJson } from "./once_json.ts";
import { failureText } from "./once_text.ts";
import { printJson } from "./print_json.ts";
import type { Terminal } from "./terminal.ts";

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
    terminal.stderr(`decnet-agent: ${printable(message)}\n`);
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
