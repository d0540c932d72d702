import { exists, readConfigFile, readInput } from "../host/files.ts";
import { sanitizeLine } from "../host/log.ts";
import { OutputWriter, standardOutput } from "../host/output.ts";
import { onReload, stopSignal } from "../host/process.ts";

/** The parts of the host that the defaults depend on. */
export interface Environment {
  /** Returns the value of an environment variable. */
  readonly variable: (name: string) => string | undefined;
  /** Returns the text of a file; null when it does not exist. */
  readonly readFile: (path: string) => string | null;
  readonly exists: (path: string) => boolean;
  readonly isRoot: boolean;
}

/** What commands use of the process and its host, besides Docker, the store and the network. */
export interface Terminal extends Environment {
  /** Writes to standard output, as `OutputWriter.write()`; returns why the text is lost, or null. */
  readonly stdout: (text: string, endsAt?: number) => string | null;
  readonly stderr: (text: string, endsAt?: number) => void;
  readonly stderrIsTerminal: () => boolean;
  readonly stdoutIsTerminal: () => boolean;
  /** Returns the path of the running executable. */
  readonly executable: () => string;
  /** Reads a file; `-` is standard input. */
  readonly readInput: (path: string) => Promise<Uint8Array>;
  /** Returns a signal that SIGTERM and SIGINT abort; they no longer kill the process. */
  readonly stopSignal: () => AbortSignal;
  /** Calls the listener at each SIGHUP, which no longer kills the process. */
  readonly onReload: (listener: () => void) => void;
}

/** Whether to print colours to standard output (no-color.org). */
export function isColoured({ variable, stdoutIsTerminal }: Terminal): boolean {
  return stdoutIsTerminal() && !variable("NO_COLOR") && variable("TERM") !== "dumb";
}

/** Prints a line on standard error, behind the program's name. */
export function printLine({ stderr }: Pick<Terminal, "stderr">, text: string): void {
  stderr(`decnet-agent: ${sanitizeLine(text)}\n`);
}

/** Prints a value as indented JSON. */
export function printJson({ stdout }: Pick<Terminal, "stdout">, value: unknown): void {
  stdout(jsonText(value));
}

/** Formats a value as indented JSON. */
export function jsonText(value: unknown): string {
  return `${escapeControls(JSON.stringify(value, null, 2))}\n`;
}

/** Escapes control characters that `JSON.stringify` does not escape. */
export function escapeControls(json: string): string {
  return json.replace(
    /[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Returns the streams, environment and files of this process. */
export function processTerminal(): Terminal {
  const stdout = new OutputWriter(standardOutput);
  const stderr = new OutputWriter(Deno.stderr);
  return {
    stdout: (text, endsAt) => stdout.write(text, endsAt),
    stderr: (text, endsAt) => stderr.write(text, endsAt),
    variable: (name) => Deno.env.get(name),
    isRoot: Deno.uid() === 0,
    stderrIsTerminal: () => Deno.stderr.isTerminal(),
    stdoutIsTerminal: () => Deno.stdout.isTerminal(),
    executable,
    readFile: readConfigFile,
    readInput,
    exists,
    stopSignal,
    onReload,
  };
}

/** Throws `Error` when the agent runs from source: the path would be that of the runtime. */
function executable(): string {
  if (Deno.build.standalone) return Deno.execPath();
  const advice = "the agent runs from source. Build one: deno task compile";
  throw new Error(`there is no executable: ${advice}`);
}
