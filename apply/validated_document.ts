import { maximumDocumentBytes } from "../store/row.ts";
import { readTopology, type Topology } from "../topology/document.ts";
import { versionHash } from "../topology/hash.ts";
import { type Json, writeJson } from "../topology/json.ts";
import { type ImageNames, type Plan, planTopology } from "../topology/plan.ts";
import { describeProblems } from "../topology/problem.ts";
import { validateTopology } from "../topology/validate.ts";

/** Why an apply or a teardown did not happen; the API makes a status of it, the command line a code. */
export type ApplyErrorCode =
  /** The document has another shape than a topology. */
  | "malformed"
  /** Its hash is another, or it is not valid. */
  | "invalid"
  /** The host has another topology. */
  | "conflict"
  /** Somebody else is at it, and waiting was not wanted. */
  | "busy"
  /** Docker, or the store, failed; what was reached of it is recorded. */
  | "failed";

/** An apply or a teardown that did not happen, with a message for an operator. */
export class ApplyError extends Error {
  override readonly name = "Refusal";

  constructor(readonly code: ApplyErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

/** A document that may be applied. */
export interface ValidatedDocument {
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
): Promise<ValidatedDocument> {
  const hash = await versionHash(document);
  if (expectedHash !== null && expectedHash !== hash) {
    throw new ApplyError(
      "invalid",
      `version hash mismatch: the document has ${hash}, not ${expectedHash}`,
    );
  }
  let topology: Topology;
  try {
    topology = readTopology(document);
  } catch (cause) {
    throw new ApplyError("malformed", (cause as Error).message, { cause });
  }
  const problems = validateTopology(topology);
  if (problems.length > 0) throw new ApplyError("invalid", describeProblems(problems));
  const text = writeJson(document);
  if (text.length > maximumDocumentBytes) {
    throw new ApplyError("invalid", "the document takes over 32 MiB when it is stored");
  }
  return { text, versionHash: hash, plan: await planTopology(topology, images) };
}
