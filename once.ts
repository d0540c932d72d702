import { once } from "./cli/once.ts";
import { thisProcess } from "./cli/process.ts";
import { runWith } from "./cli/run.ts";

/** Runs a command line with `--once` in it; the answer is the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  return await runWith(once, args, thisProcess);
}
