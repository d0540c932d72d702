/** What a program said, and how it ended. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a program is run. */
export interface ExecuteOptions {
  /** Ends the program. */
  readonly signal: AbortSignal;
  /** Which ends are no failure; 0 if not given. */
  readonly accept?: (code: number) => boolean;
}

/** Runs a program to its end. Throws `Error`, with what it said, when it fails or is not there. */
export async function execute(
  program: string,
  args: readonly string[],
  { signal, accept = (code) => code === 0 }: ExecuteOptions,
): Promise<Ended> {
  signal.throwIfAborted();
  const output = await new Deno.Command(program, {
    args: [...args],
    env: { PATH: Deno.env.get("PATH") ?? "", LANG: "C.UTF-8", SYSTEMD_COLORS: "0" },
    clearEnv: true,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal,
  }).output();
  signal.throwIfAborted();
  const decoder = new TextDecoder();
  const ended = {
    code: output.code,
    stdout: decoder.decode(output.stdout),
    stderr: decoder.decode(output.stderr),
  };
  if (accept(ended.code)) return ended;
  const said = `${ended.stdout}${ended.stderr}`.trim().slice(-2_000);
  throw new Error(`${program} ${args.join(" ")} ended with code ${ended.code}\n${said}`.trim());
}
