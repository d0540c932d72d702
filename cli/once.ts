import { printable } from "../host/mod.ts";
import { check } from "./check.ts";
import { type Configuration, configure } from "./configuration.ts";
import type { CarryOut } from "./run.ts";
import type { Terminal } from "./terminal.ts";

/** `--once`, with the configuration that the command line leads to. */
export const once: CarryOut = async ({ command, json, values, config }, terminal) => {
  if (command.name !== "once") throw new TypeError(`--once does not go with ${command.name}`);
  const configuration = configure(values, config, terminal);
  printWarnings(configuration, terminal);
  return await check(configuration, { ...command, json }, terminal);
};

/** Tells what of the configuration an operator should look at. */
export function printWarnings({ warnings }: Configuration, terminal: Terminal): void {
  for (const warning of warnings) terminal.stderr(`decnet-agent: ${printable(warning)}\n`);
}
