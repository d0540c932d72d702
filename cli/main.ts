import { sanitizeLine } from "../host/log.ts";
import { type Arguments, type Command, parseArguments } from "./args.ts";
import { check } from "./check.ts";
import { configure } from "./config.ts";
import { type ExitCode, failureText, statusJson } from "./report.ts";
import { printJson, type Terminal } from "./terminal.ts";

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
async function runCommand(
  { command, json, values, config }: Arguments,
  terminal: Terminal,
): Promise<ExitCode> {
  switch (command.name) {
    case "help": {
      const { helpText } = await import("./help.ts");
      terminal.stdout(helpText(command.about));
      return 0;
    }
    case "version":
      return await printVersion(json, terminal);
    case "hash":
      return await printHash(command.file, json, terminal);
    case "print": {
      const { print } = await import("./print.ts");
      return print(command.what, terminal);
    }
    case "doctor": {
      const { doctor } = await import("./doctor.ts");
      return await doctor({ command, json, values, config }, terminal);
    }
  }
  const readConfiguration = () => configure(values, config, terminal);
  const configuration = readConfiguration();
  for (const warning of configuration.warnings) {
    terminal.stderr(`decnet-agent: ${sanitizeLine(warning)}\n`);
  }
  switch (command.name) {
    case "once":
      return await check(configuration, { ...command, json }, terminal);
    case "daemon": {
      const { Daemon } = await import("./daemon.ts");
      return await new Daemon(readConfiguration, terminal).run(configuration);
    }
    case "state": {
      const { printState } = await import("./state.ts");
      return await printState(configuration, json, terminal);
    }
    case "apply": {
      const { applyFile, previewFile } = await import("./apply.ts");
      const apply = command.dryRun ? previewFile : applyFile;
      return await apply(configuration, { ...command, json }, terminal);
    }
    case "teardown": {
      const { teardown } = await import("./apply.ts");
      return await teardown(configuration, { ...command, json }, terminal);
    }
  }
}

async function printVersion(json: boolean, terminal: Terminal): Promise<ExitCode> {
  const { versions } = await import("./help.ts");
  const all = versions();
  if (json) printJson(terminal, all);
  else terminal.stdout(`decnet-agent ${all.agent} (Deno ${all.deno}, SQLite ${all.sqlite})\n`);
  return 0;
}

/** Runs `hash`. Throws `Error` when the file cannot be read or is not a valid document. */
async function printHash(file: string, json: boolean, terminal: Terminal): Promise<ExitCode> {
  const { readDocument } = await import("./document_file.ts");
  const { versionHash } = await import("../topology/hash.ts");
  const hash = await versionHash(await readDocument(file, terminal));
  if (json) printJson(terminal, { version_hash: hash });
  else terminal.stdout(`${hash}\n`);
  return 0;
}

/** Whether a command is run for its output only. */
function isQuery(command: Command): boolean {
  if (command.name === "apply") return command.dryRun;
  return command.name !== "daemon" && command.name !== "teardown";
}

function reportFailure(args: readonly string[], error: unknown, terminal: Terminal): void {
  const message = error instanceof Error ? error.message : String(error);
  terminal.stderr(`decnet-agent: ${sanitizeLine(message)}\n`);
  // Monitoring reads standard output only, and must see why there was no check.
  const isCheck = args.some((argument) => argument.split("=")[0] === "--once");
  if (args.includes("--json") && (isCheck || args.includes("doctor"))) {
    printJson(terminal, statusJson(3, message));
  } else if (isCheck) terminal.stdout(`${failureText(message)}\n`);
}
