import { exists, onReload, readConfigFile, readInput, stopSignal, writeText } from "../host/mod.ts";
import type { Terminal } from "./terminal.ts";

/** What this process was started with. */
export const thisProcess: Terminal = {
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
};

/** The path of this program. Throws `Error` when it runs from source: that path is the runtime's. */
function executable(): string {
  if (Deno.build.standalone) return Deno.execPath();
  throw new Error("there is no executable yet; deno task compile makes dist/decnet-agent");
}
