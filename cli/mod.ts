/** The command line: from arguments to an exit code. */
export { parseArguments } from "./arguments.ts";
export { type Configuration, configure } from "./configuration.ts";
export type { Surroundings } from "./sources.ts";
export { run } from "./every_command.ts";
export type { Terminal } from "./terminal.ts";
