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
    executable,
    readFile: readConfigFile,
    readInput,
    exists,
    stopSignal,
    onReload,
  });
}

/** The path of this program. Throws `Error` when it runs from source: that path is the runtime's. */
function executable(): string {
  if (Deno.build.standalone) return Deno.execPath();
  throw new Error("there is no executable yet; deno task compile makes dist/decnet-agent");
}

if (import.meta.main) {
  // Not waiting for what still lingers, such as an idle connection, is what makes the end quick.
  Deno.exit(await main());
}
