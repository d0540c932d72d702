/** What the agent does: it looks at its host and reports to the master, once or for ever. */
export { Agent, type AgentOptions, type Beat } from "./agent.ts";
export type { CertificateReport } from "./sender.ts";
export type { BeatBody, TopologyReport } from "./beat.ts";
export { Bell } from "./bell.ts";
export type { Delivery } from "./delivery.ts";
export { describeDrift } from "./diary.ts";
export { runLoop } from "./loop.ts";
export type { KnownDrift } from "./stock.ts";
export { validityProblem } from "./validity.ts";
