/** The machine around the agent. */
export { createLog, type Level, type Log } from "./log.ts";
export { printable } from "./printable.ts";
