/** The machine around the agent. */
export { exists, identityOf, readConfigFile, readInput } from "./files.ts";
export { interfaceAddresses } from "./interfaces.ts";
export { FileLock, LockHeld } from "./lock.ts";
export { createLog, type Level, type Log } from "./log.ts";
export { printable } from "./printable.ts";
export { Supervisor, type SupervisorOptions } from "./supervisor.ts";
export { onReload, stopSignal, writeText } from "./process.ts";
