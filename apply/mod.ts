/** Makes topologies real in Docker, and takes them down again. */
export { Applier, type ApplierOptions, type Outcome, type Preview } from "./applier.ts";
export { type Candidate, examine } from "./candidate.ts";
export type { RunOptions } from "./converge.ts";
export { Refusal, type RefusalKind } from "./refusal.ts";
export type { Step } from "./steps.ts";
