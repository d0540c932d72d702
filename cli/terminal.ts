import type { Surroundings } from "./sources.ts";

/** What the commands touch besides Docker, the store and the network. */
export interface Terminal extends Surroundings {
  /** Answers whether somebody who wants the text may have missed it. */
  readonly stdout: (text: string) => "written" | "lost";
  readonly stderr: (text: string) => void;
  /** How many columns standard error has; null when it is no terminal. */
  readonly columns: () => number | null;
  /** How many columns standard output has, 0 when it does not tell; null when it is no terminal. */
  readonly stdoutColumns: () => number | null;
  /** The path of the running executable. */
  readonly executable: () => string;
  /** The bytes of a file; `-` is standard input. */
  readonly readInput: (path: string) => Promise<Uint8Array>;
  /** Aborted when the process is asked to stop; from the first call on, no signal kills it. */
  readonly stopSignal: () => AbortSignal;
  /** Calls back whenever the process is asked to read its files again; that kills it no more. */
  readonly onReload: (listener: () => void) => void;
}

/** Whether standard output takes colours, and whoever looks at it wants them: no-color.org. */
export function isColoured({ variable, stdoutColumns }: Terminal): boolean {
  return stdoutColumns() !== null && !variable("NO_COLOR") && variable("TERM") !== "dumb";
}
