import type { Command } from "./arguments.ts";
import type { ExitCode } from "./exit.ts";
import type { Terminal } from "./terminal.ts";

/** `print`: a file for this host. */
export function print(
  { what }: Extract<Command, { name: "print" }>,
  terminal: Terminal,
): ExitCode {
  terminal.stdout(`${what} for ${terminal.executable()}\n`);
  return 0;
}
