/** What a program took as a whole process. */
export interface Run {
  readonly ms: number;
  readonly code: number;
}

/** Runs a command to its end. */
export async function timed([program, ...args]: readonly [string, ...string[]]): Promise<Run> {
  const startedAt = performance.now();
  const { code } = await new Deno.Command(program, { args, ...quiet }).output();
  return { ms: performance.now() - startedAt, code };
}

/**
 * The peak of a command's memory in MiB, which the kernel tells as long as the process is there: so it
 * is asked again and again, and what is reached in the last millisecond may be missed.
 */
export async function peakMiB([program, ...args]: readonly [string, ...string[]]): Promise<number> {
  const child = new Deno.Command(program, { args, ...quiet }).spawn();
  let hasEnded = false;
  child.status.then(() => hasEnded = true);
  let kibibytes = 0;
  while (!hasEnded) {
    const status = await Deno.readTextFile(`/proc/${child.pid}/status`).catch(() => "");
    // Before the program is loaded the process is a copy of this one.
    const isLoaded = status.startsWith(`Name:\t${program.split("/").at(-1)!.slice(0, 15)}\n`);
    if (isLoaded) kibibytes = Number(/^VmHWM:\s*(\d+)/m.exec(status)?.[1] ?? kibibytes);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await child.status;
  return kibibytes / 1024;
}

/** The middle one of some values. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

const quiet = { stdin: "null", stdout: "null", stderr: "null" } as const;
