import { Agent } from "../agent/heartbeat.ts";
import { sanitizeLine } from "../host/log.ts";
import { versionHash } from "../topology/hash.ts";
import { type CarryOut, once, onceTimeoutMs, printWarnings, runWith } from "./check.ts";
import { type Configuration, configure } from "./config.ts";
import { readDocument } from "./document_file.ts";
import { commandHelpText, helpText } from "./help.ts";
import { agentVersion, versions } from "./options.ts";
import { type ExitCode, findingsOf, worst } from "./report.ts";
import { stateText } from "./state.ts";
import { isColoured, printJson, type Terminal, thisProcess } from "./terminal.ts";

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
      const { loop } = await import("./daemon.ts");
      const reload = () => configure(args.values, args.config, terminal);
      return await loop(configuration, reload, terminal);
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

/** `--version`. */
export function printVersion(json: boolean, terminal: Terminal): ExitCode {
  const { agent, deno, sqlite } = versions();
  if (json) printJson(terminal, { agent, deno, sqlite });
  else terminal.stdout(`decnet-agent ${agent} (Deno ${deno}, SQLite ${sqlite})\n`);
  return 0;
}

/** `hash`. Throws `Error` when the file cannot be read or is no document. */
export async function printHash(
  file: string,
  json: boolean,
  terminal: Terminal,
): Promise<ExitCode> {
  const hash = await versionHash(await readDocument(file, terminal));
  if (json) printJson(terminal, { version_hash: hash });
  else terminal.stdout(`${hash}\n`);
  return 0;
}

/** `state`; the exit code is that of `--once`, but for what concerns the master. */
export async function printState(
  { agent: options }: Configuration,
  json: boolean,
  terminal: Terminal,
): Promise<ExitCode> {
  // What GET /topology/state would answer does not concern the master.
  const agent = new Agent({ ...options, agentVersion, master: null });
  const heartbeat = await agent.sendHeartbeat(AbortSignal.timeout(onceTimeoutMs));
  const { topology, store } = heartbeat.body;
  const columns = json ? null : terminal.stdoutColumns();
  if (columns !== null) {
    // What a check does not need is not loaded for one.
    const { stateTree } = await import("./state.ts");
    const look = { columns, isColoured: isColoured(terminal) };
    terminal.stdout(await stateTree(heartbeat, options.images, look));
  } else if (!json) terminal.stdout(stateText(heartbeat));
  else {
    printJson(terminal, topology);
    if (!topology) terminal.stderr(`decnet-agent: ${sanitizeLine(store.detail ?? "")}\n`);
  }
  agent.close();
  return worst(findingsOf(heartbeat));
}

/** Runs any command line; the answer is the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  return await run(args, thisProcess);
}
