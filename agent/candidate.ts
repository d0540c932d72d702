import {
  describeProblems,
  type ImageNames,
  type Json,
  type Plan,
  planTopology,
  readTopology,
  type Topology,
  validateTopology,
  versionHash,
} from "../topology/mod.ts";
import { Refusal } from "./refusal.ts";

/** A document that may be applied. */
export interface Candidate {
  readonly document: Json;
  readonly versionHash: string;
  readonly plan: Plan;
}

/**
 * Checks a document, and its hash where one is expected, and plans it. Throws `Refusal`, `invalid` or
 * `malformed`, which names every problem.
 */
export async function examine(
  document: Json,
  { expectedHash, images }: { expectedHash: string | null; images: ImageNames },
): Promise<Candidate> {
  const hash = await versionHash(document);
  if (expectedHash !== null && expectedHash !== hash) {
    throw new Refusal("invalid", `version hash mismatch: the document has ${hash}`);
  }
  let topology: Topology;
  try {
    topology = readTopology(document);
  } catch (cause) {
    throw new Refusal("malformed", (cause as Error).message, { cause });
  }
  const problems = validateTopology(topology);
  if (problems.length > 0) throw new Refusal("invalid", describeProblems(problems));
  return { document, versionHash: hash, plan: await planTopology(topology, images) };
}
