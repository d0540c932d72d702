import { run } from "./cli/mod.ts";
import { exists, onReload, readConfigFile, readInput, stopSignal, writeText } from "./host/mod.ts";

/** Runs the command line of this process; the answer is the exit code. */
async function main(): Promise<number> {
  return await run(Deno.args, {
    stdout: (text) => writeText(Deno.stdout, text),
    stderr: (text) => writeText(Deno.stderr, text),
    variable: (name) => Deno.env.get(name),
    isRoot: Deno.uid() === 0,
    columns: () => Deno.stderr.isTerminal() ? Deno.consoleSize().columns : null,
    stdoutColumns: () => Deno.stdout.isTerminal() ? Deno.consoleSize().columns : null,
    executable: () => Deno.execPath(),
    readFile: readConfigFile,
    readInput,
    exists,
    stopSignal,
    onReload,
  });
}

if (import.meta.main) {
  // Not waiting for what still lingers, such as an idle connection, is what makes the end quick.
  Deno.exit(await main());
}
