import { printHash, printState, printVersion } from "./commands.ts";
import { configure } from "./configuration.ts";
import type { ExitCode } from "./exit.ts";
import { commandHelpText, helpText } from "./help.ts";
import { once, printWarnings } from "./once.ts";
import { type CarryOut, runWith } from "./run.ts";
import type { Terminal } from "./terminal.ts";

/** Runs one command line, whatever it asks for; as `runWith`. */
export async function run(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  return await runWith(runCommand, args, terminal);
}

const runCommand: CarryOut = async (args, terminal) => {
  const { command, json } = args;
  switch (command.name) {
    case "help":
      terminal.stdout(command.about === null ? helpText() : commandHelpText(command.about));
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
    case "once":
      return await once(args, terminal);
    case "hash":
      return await printHash(command.file, json, terminal);
  }
  const configuration = configure(args.values, args.config, terminal);
  printWarnings(configuration, terminal);
  switch (command.name) {
    case "loop": {
      // What a check does not need is not loaded for one.
      const { loop } = await import("./loop.ts");
      const reread = () => configure(args.values, args.config, terminal);
      return await loop(configuration, reread, terminal);
    }
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
};
