import { basename } from "node:path";

/** How a program is run; with `env` it sees those variables and no others. */
export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** The program is ended after this time; ten minutes if not given. */
  readonly timeoutMs?: number;
}

/**
 * Runs a program to its end and returns its standard output.
 *
 * Both streams are kept back: they are shown only in the error, which is thrown
 * when the program ends with another code than 0 or takes too long. A program that
 * is not there is a Deno.errors.NotFound.
 */
export async function run(
  program: string,
  args: readonly string[],
  { cwd, env, timeoutMs = 600_000 }: CommandOptions = {},
): Promise<string> {
  const signal = AbortSignal.timeout(timeoutMs);
  const output = await new Deno.Command(program, {
    args: [...args],
    ...(cwd === undefined ? {} : { cwd }),
    ...(env === undefined ? {} : { env: { ...env }, clearEnv: true }),
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal,
  }).output();

  if (output.success) return new TextDecoder().decode(output.stdout);
  const ending = signal.aborted
    ? `took longer than ${timeoutMs / 1000} s`
    : `ended with ${output.signal ?? `code ${output.code}`}`;
  const said = essence(new TextDecoder().decode(output.stderr));
  const name = `${basename(program)} ${args[0] ?? ""}`.trimEnd();
  throw new Error(`${name} ${ending}\n${said}`.trimEnd());
}

/** Deno lists its downloads first and appends a native stack, of no use here. */
function essence(text: string): string {
  return text
    .split(/^Stack backtrace:/m, 1)[0]!
    .replaceAll(/^Download .*\n/gm, "")
    .trimEnd();
}
