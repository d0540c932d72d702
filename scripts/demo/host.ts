import type { Inventory } from "../../topology/inventory.ts";
import type { PushedDocument } from "./document.ts";

/** A host that a topology is applied to. */
export interface Host extends AsyncDisposable {
  /** The agent's flags that lead to it. */
  readonly flags: readonly string[];
  /** What the master pushes to it. */
  readonly document: PushedDocument;
  /** All calls so far that were to change the engine, oldest first, such as `DELETE /networks/…`. */
  readonly changingCalls: readonly string[];

  /** What the engine has of the topology. */
  list(): Promise<Inventory>;
  /** Ends a container, which stays there. */
  kill(container: string): Promise<void>;
  /** Removes a container, running or not. */
  remove(container: string): Promise<void>;
}
