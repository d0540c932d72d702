import { sanitizeLine } from "../host/log.ts";
import { maximumDocumentBytes } from "../store/row.ts";
import { readTopology, type Topology } from "../topology/document.ts";
import { versionHash } from "../topology/hash.ts";
import { type Json, writeJson } from "../topology/json.ts";
import { type Plan, type PlanOptions, planTopology } from "../topology/plan.ts";
import { describeProblems } from "../topology/problem.ts";
import { validateTopology } from "../topology/validate.ts";
import { ApplyError } from "./apply_error.ts";

/** A valid document and its plan. */
export interface ValidatedDocument {
  /** The text for the store, keys sorted. */
  readonly text: string;
  readonly versionHash: string;
  readonly plan: Plan;
}

/** Validates and plans a document. Throws `ApplyError` `invalid` or `malformed` with all problems. */
export async function validateDocument(
  document: Json,
  { expectedHash, planOptions }: { expectedHash: string | null; planOptions: PlanOptions },
): Promise<ValidatedDocument> {
  const hash = await versionHash(document);
  if (expectedHash !== null && expectedHash !== hash) {
    throw new ApplyError(
      "invalid",
      `version hash mismatch: the document has ${hash}, not ${sanitizeLine(expectedHash)}`,
    );
  }
  let topology: Topology;
  try {
    topology = readTopology(document);
  } catch (cause) {
    throw new ApplyError("malformed", (cause as Error).message, { cause });
  }
  const problems = validateTopology(topology, planOptions);
  if (problems.length > 0) {
    throw new ApplyError("invalid", describeProblems(problems), { problems });
  }
  const text = writeJson(document);
  if (text.length > maximumDocumentBytes) {
    throw new ApplyError("invalid", "the document takes over 32 MiB when it is stored");
  }
  return { text, versionHash: hash, plan: await planTopology(topology, planOptions) };
}
