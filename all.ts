import { run } from "./cli/mod.ts";
import { thisProcess } from "./cli/process.ts";

/** Runs any command line; the answer is the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  return await run(args, thisProcess);
}
