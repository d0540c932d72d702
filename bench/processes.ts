/** One run of a command, as the operating system has accounted for it. */
export interface Run {
  /** Wall time, in milliseconds. */
  readonly ms: number;
  /** Processor time, in milliseconds. */
  readonly cpuMs: number;
  /** Peak memory, in MiB. */
  readonly mib: number;
  readonly code: number;
}

/** The medians of several runs. */
export type Medians = Omit<Run, "code">;

/**
 * Runs commands in turn, `runs` times each, and answers the medians by name. Throws `Error` for one
 * that ends with another code than 0 or 1, which is a check's warning.
 */
export async function measureInTurn(
  commands: Readonly<Record<string, readonly string[]>>,
  runs: number,
): Promise<Map<string, Medians>> {
  const script = new URL("programs/measure.py", import.meta.url).pathname;
  const child = new Deno.Command("python3", {
    args: [script],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const order = new Blob([JSON.stringify({ runs, commands })]).stream().pipeTo(child.stdin);
  const [{ success, stdout }] = await Promise.all([child.output(), order]);
  if (!success) throw new Error(`Cannot measure: ${script} failed`);
  const results: Record<string, Run[]> = JSON.parse(new TextDecoder().decode(stdout));
  return new Map(
    Object.entries(results).map(([name, runs]) => {
      const failed = runs.find(({ code }) => code > 1);
      if (failed) throw new Error(`Cannot measure ${name}: it ended with ${failed.code}`);
      const of = (figure: keyof Run) => median(runs.map((run) => run[figure]));
      return [name, { ms: of("ms"), cpuMs: of("cpuMs"), mib: of("mib") }];
    }),
  );
}

/** The middle one of some values. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
