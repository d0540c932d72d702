/** Makes topologies real in Docker, and takes them down again. */
export {
  Applier,
  type ApplierOptions,
  type Outcome,
  type Preview,
  type RunOptions,
} from "./applier.ts";
export { type Candidate, examine } from "./candidate.ts";
export { Refusal, type RefusalKind } from "./refusal.ts";
export type { Step } from "./steps.ts";
