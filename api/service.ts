import type { Json } from "../topology/mod.ts";

/** What the API answers with. Each call may throw `Refusal`, whose kind decides the status. */
export interface ApiService {
  /**
   * The beat's `topology` object, also while an apply runs. `signal` is aborted when the client is
   * gone.
   */
  state(signal: AbortSignal): Promise<unknown>;
  /** Applies a document, which nobody has looked at yet; goes on when the client leaves. */
  apply(hydrated: { readonly [key: string]: Json }, versionHash: string): Promise<void>;
  /** Tears down a topology, known or not; goes on when the client leaves. */
  teardown(topologyId: string): Promise<void>;
}
