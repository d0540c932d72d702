import { printable } from "../host/mod.ts";
import { type Arguments, parseArguments } from "./arguments.ts";
import { check, printHash, printState, printVersion } from "./commands.ts";
import { configure } from "./configuration.ts";
import type { ExitCode } from "./exit.ts";
import { helpText } from "./help.ts";
import { statusJson } from "./once_json.ts";
import { failureText } from "./once_text.ts";
import { printJson } from "./print_json.ts";
import type { Terminal } from "./terminal.ts";

/** Runs one command line and answers the exit code. What fails is printed, never thrown. */
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
    const { command, ...rest } = parseArguments(args);
    const code = await runCommand({ command, ...rest }, watched);
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

async function runCommand(args: Arguments, terminal: Terminal): Promise<ExitCode> {
  const { command, json } = args;
  switch (command.name) {
    case "help":
      terminal.stdout(helpText());
      return 0;
    case "version":
      return printVersion(json, terminal);
    case "print": {
      const { print } = await import("./print.ts");
      return print(command, terminal);
    }
    case "doctor": {
      const { doctor } = await import("./doctor.ts");
      return await doctor(args, terminal);
    }
    case "hash":
      return await printHash(command.file, json, terminal);
  }
  const configuration = configure(args.values, args.config, terminal);
  for (const warning of configuration.warnings) {
    terminal.stderr(`decnet-agent: ${printable(warning)}\n`);
  }
  switch (command.name) {
    case "loop": {
      // What a check does not need is not loaded for one.
      const { loop } = await import("./loop.ts");
      const reread = () => configure(args.values, args.config, terminal);
      return await loop(configuration, reread, terminal);
    }
    case "once":
      return await check(configuration, { ...command, json }, terminal);
    case "state":
      return await printState(configuration, json, terminal);
    case "apply": {
      const { applyFile, previewFile } = await import("./apply.ts");
      return await (command.dryRun ? previewFile : applyFile)(
        configuration,
        { ...command, json },
        terminal,
      );
    }
    case "teardown": {
      const { teardown } = await import("./apply.ts");
      return await teardown(configuration, { ...command, json }, terminal);
    }
  }
}
