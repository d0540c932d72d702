/** The files that the executable brings along: units, a line for cron, texts. Pure. */
export { completion } from "./completion.ts";
export { config } from "./config.ts";
export { hidingFolder } from "./confinement.ts";
export { cron } from "./cron.ts";
export { man } from "./man.ts";
export { systemdService } from "./service.ts";
export { type KeyText, literalDefault, type Tables } from "./tables.ts";
export { checkService, checkTimer, systemdTimer } from "./timer.ts";
