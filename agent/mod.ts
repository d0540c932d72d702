/** What the agent does: it looks at its host, reports to the master, and applies topologies. */
export { Agent, type AgentOptions, type Beat, type CertificateReport } from "./agent.ts";
export {
  Applier,
  type ApplierOptions,
  type Outcome,
  type Preview,
  type RunOptions,
} from "./applier.ts";
export type { BeatBody, TopologyReport } from "./beat.ts";
export { Bell } from "./bell.ts";
export { type Candidate, examine } from "./candidate.ts";
export type { Delivery } from "./delivery.ts";
export { describeDrift } from "./diary.ts";
export { runLoop } from "./loop.ts";
export { Refusal, type RefusalKind } from "./refusal.ts";
export type { KnownDrift } from "./stock.ts";
export type { Step } from "./steps.ts";
