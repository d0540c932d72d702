import { versionHash } from "../topology/hash.ts";
import { apply, printError, teardown } from "./apply.ts";
import type { Arguments, Command } from "./args.ts";
import { configure, configureAndWarn } from "./config.ts";
import { readDocument } from "./document_file.ts";
import { helpText, versions } from "./help.ts";
import { printImages } from "./images.ts";
import { print } from "./print.ts";
import type { ExitCode } from "./report.ts";
import { printState } from "./state.ts";
import { printJson, printLine, type Terminal } from "./terminal.ts";

/** What a person at a terminal reads who gives no command. */
const hint = "runs until Ctrl-C. Add --once to check once, print install | sh to install it as a " +
  "service, help to list all commands";

type OtherCommand = Exclude<Command, { name: "once" }>;

/** Runs a command other than the check, which does not load this file. */
export async function runOtherCommand(
  command: OtherCommand,
  parsed: Arguments,
  terminal: Terminal,
): Promise<ExitCode> {
  return await runParsed(command, parsed, terminal)
    .catch((error) => printError(error, parsed.json, terminal));
}

async function runParsed(
  command: OtherCommand,
  { json, values, config }: Arguments,
  terminal: Terminal,
): Promise<ExitCode> {
  const readConfiguration = () => configureAndWarn({ values, config }, terminal);
  switch (command.name) {
    case "help":
      terminal.stdout(helpText(command.about));
      return 0;
    case "version":
      printVersion(json, terminal);
      return 0;
    case "hash": {
      const hash = await versionHash(await readDocument(command.file, terminal));
      if (json) printJson(terminal, { version_hash: hash });
      else terminal.stdout(`${hash}\n`);
      return 0;
    }
    case "print":
      print(command.what, terminal);
      return 0;
    // These two load the runtime's TLS, which takes longer than the other commands.
    case "doctor": {
      const { doctor } = await import("./doctor.ts");
      return await doctor({ values, config }, { ...command, json }, terminal);
    }
    case "run": {
      if (!command.isNamed && terminal.stderrIsTerminal()) printLine(terminal, hint);
      const { Daemon } = await import("./daemon.ts");
      return await new Daemon(() => configure(values, config, terminal), terminal).run();
    }
    case "state":
      return await printState(readConfiguration(), json, terminal);
    case "images":
      return await printImages(readConfiguration(), { ...command, json }, terminal);
    case "apply":
      return await apply(readConfiguration(), { ...command, json }, terminal);
    case "teardown":
      return await teardown(readConfiguration(), { ...command, json }, terminal);
  }
}

function printVersion(json: boolean, terminal: Terminal): void {
  const all = versions();
  const { agent, commit, date, deno, sqlite } = all;
  const source = date === null ? commit : `${commit} of ${date}`;
  const text = `decnet-agent ${agent} (commit ${source}, Deno ${deno}, SQLite ${sqlite})\n`;
  if (json) printJson(terminal, all);
  else terminal.stdout(text);
}
