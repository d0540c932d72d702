import { messageOf } from "../host/log.ts";
import { explain } from "../store/file.ts";

/** Why an apply or a teardown did not happen. */
export type ApplyErrorCode =
  /** The document does not have the shape of a topology. */
  | "malformed"
  /** The document has another hash than expected, or is not valid. */
  | "invalid"
  /** Another topology is applied on this host. */
  | "conflict"
  /** Topologies replace each other on this host, and the one that is applied stays. */
  | "loop"
  /** Another apply or teardown is running, and the caller does not wait or stopped waiting. */
  | "busy"
  /** Docker or the store failed. */
  | "failed";

/** What else is known of an apply or a teardown that did not happen. */
interface ApplyErrorDetails extends ErrorOptions {
  /** The problems of an `invalid` document; absent when its hash or its size is wrong. */
  readonly problems?: readonly string[];
  /** Whether the store has it as the last error. */
  readonly isRecorded?: boolean;
  /** Whether an earlier `loop` has told the same. */
  readonly isRepeated?: boolean;
}

/** An apply or a teardown that did not happen, with a message for an operator. */
export class ApplyError extends Error {
  override readonly name = "ApplyError";

  constructor(
    readonly code: ApplyErrorCode,
    message: string,
    readonly details: ApplyErrorDetails = {},
  ) {
    super(message, details);
  }
}

/** Returns the error itself if it is an `ApplyError`, else one of code `failed` with its message. */
export function toApplyError(error: unknown): ApplyError {
  if (error instanceof ApplyError) return error;
  return new ApplyError("failed", messageOf(error), { cause: error });
}

/** Returns the `failed` error for a store that cannot be used. */
export function storeError(path: string, cause: unknown): ApplyError {
  return new ApplyError("failed", `Cannot use the store ${path}: ${explain(cause)}`, { cause });
}
