import type { Json } from "../topology/mod.ts";

/** What the API answers with. Each call may throw `Refusal`, whose kind decides the status. */
export interface ApiService {
  /**
   * The beat's `topology` object, also while an apply runs. `signal` is aborted when the client is
   * gone.
   */
  state(signal: AbortSignal): Promise<unknown>;
  /**
   * Applies a document, which nobody has looked at yet. When the client is gone (`gone` is aborted)
   * before it has begun, it is not done any more; what has begun goes on.
   */
  apply(
    hydrated: { readonly [key: string]: Json },
    versionHash: string,
    gone: AbortSignal,
  ): Promise<void>;
  /** Tears down a topology, known or not; `gone` is as for an apply. */
  teardown(topologyId: string, gone: AbortSignal): Promise<void>;
}
