import type { Surroundings } from "./configuration.ts";

/** What the commands touch besides Docker, the store and the network. */
export interface Terminal extends Surroundings {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  /** How many columns standard error has; null when it is no terminal. */
  readonly columns: () => number | null;
  /** The bytes of a file; `-` is standard input. */
  readonly readInput: (path: string) => Promise<Uint8Array>;
  /** Aborted when the process is asked to stop; from the first call on, no signal kills it. */
  readonly stopSignal: () => AbortSignal;
}
