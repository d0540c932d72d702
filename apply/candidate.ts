import { maximumDocumentBytes } from "../store/mod.ts";
import {
  type ImageNames,
  type Json,
  type Plan,
  planTopology,
  readTopology,
  type Topology,
  versionHash,
  writeJson,
} from "../topology/mod.ts";
import { describeProblems, validateTopology } from "../topology/validation/mod.ts";
import { Refusal } from "./refusal.ts";

/** A document that may be applied. */
export interface Candidate {
  /** As it is stored. */
  readonly text: string;
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
    throw new Refusal(
      "invalid",
      `version hash mismatch: the document has ${hash}, not ${expectedHash}`,
    );
  }
  let topology: Topology;
  try {
    topology = readTopology(document);
  } catch (cause) {
    throw new Refusal("malformed", (cause as Error).message, { cause });
  }
  const problems = validateTopology(topology);
  if (problems.length > 0) throw new Refusal("invalid", describeProblems(problems));
  const text = writeJson(document);
  if (text.length > maximumDocumentBytes) {
    throw new Refusal("invalid", "the document takes over 32 MiB when it is stored");
  }
  return { text, versionHash: hash, plan: await planTopology(topology, images) };
}
