import { run } from "./cli/mod.ts";
import { exists, readConfigFile, readInput, stopSignal, writeText } from "./host/mod.ts";

/** Runs the command line of this process; the answer is the exit code. */
async function main(): Promise<number> {
  let isOutputLost = false;
  let isLoop = false;
  const code = await run(Deno.args, {
    stdout: (text) => {
      if (writeText(Deno.stdout, text) === "lost") isOutputLost = true;
    },
    stderr: (text) => writeText(Deno.stderr, text),
    variable: (name) => Deno.env.get(name),
    isRoot: Deno.uid() === 0,
    columns: () => Deno.stderr.isTerminal() ? Deno.consoleSize().columns : null,
    readFile: readConfigFile,
    readInput,
    exists,
    stopSignal: () => {
      isLoop = true;
      return stopSignal();
    },
  });
  // Whoever waits for an answer must not take silence for a good one; nobody waits for the loop.
  return isOutputLost && !isLoop && code === 0 ? 3 : code;
}

if (import.meta.main) {
  // Not waiting for what still lingers, such as an idle connection, is what makes the end quick.
  Deno.exit(await main());
}
