/** Why an apply or a teardown did not happen; the API makes a status of it, the command line a code. */
export type RefusalKind =
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
export class Refusal extends Error {
  override readonly name = "Refusal";

  constructor(readonly kind: RefusalKind, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}
