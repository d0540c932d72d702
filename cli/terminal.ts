import { exists, readConfigFile, readInput } from "../host/files.ts";
import { onReload, stopSignal, writeText } from "../host/process.ts";

/** The machine as far as the defaults depend on it. */
export interface Environment {
  /** The value of an environment variable. */
  readonly variable: (name: string) => string | undefined;
  /** The content of a file, or null when it does not exist. */
  readonly readFile: (path: string) => string | null;
  readonly exists: (path: string) => boolean;
  readonly isRoot: boolean;
}

/** What the commands touch besides Docker, the store and the network. */
export interface Terminal extends Environment {
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

/** Prints a value as JSON for people. */
export function printJson({ stdout }: Pick<Terminal, "stdout">, value: unknown): void {
  stdout(`${escapeControls(JSON.stringify(value, null, 2))}\n`);
}

/** JSON for a terminal: `JSON.stringify` leaves some characters as they are that a terminal obeys. */
export function escapeControls(json: string): string {
  return json.replace(
    /[\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** What this process was started with. */
export const thisProcess: Terminal = {
  stdout: (text) => writeText(Deno.stdout, text),
  stderr: (text) => writeText(Deno.stderr, text),
  variable: (name) => Deno.env.get(name),
  isRoot: Deno.uid() === 0,
  columns: () => Deno.stderr.isTerminal() ? Deno.consoleSize().columns : null,
  stdoutColumns: () => Deno.stdout.isTerminal() ? Deno.consoleSize().columns : null,
  executable,
  readFile: readConfigFile,
  readInput,
  exists,
  stopSignal,
  onReload,
};

/** The path of this program. Throws `Error` when it runs from source: that path is the runtime's. */
function executable(): string {
  if (Deno.build.standalone) return Deno.execPath();
  throw new Error("there is no executable yet; deno task compile makes dist/decnet-agent");
}
