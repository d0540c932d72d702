import { type Json, parseJson } from "../topology/mod.ts";
import type { Terminal } from "./terminal.ts";

/** The document in a file, or on standard input for `-`. Throws `Error` when there is none. */
export async function readDocument(
  file: string,
  { readInput }: Pick<Terminal, "readInput">,
): Promise<Json> {
  try {
    return parseJson(new TextDecoder("utf-8", { fatal: true }).decode(await readInput(file)));
  } catch (cause) {
    throw new Error(`Cannot read ${file}: ${(cause as Error).message}`, { cause });
  }
}
