import type { Arguments } from "./arguments.ts";
import type { ExitCode } from "./exit.ts";
import type { Terminal } from "./terminal.ts";

/** `doctor`: looks for what is wrong on this host. */
export function doctor({ json }: Arguments, terminal: Terminal): Promise<ExitCode> {
  terminal.stdout(json ? "{}\n" : "nothing\n");
  return Promise.resolve(0);
}
