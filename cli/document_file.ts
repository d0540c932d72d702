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
    throw new Error(`Cannot read ${file}: ${explain(cause)}`, { cause });
  }
}

function explain(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "no such file";
  if (error instanceof Deno.errors.PermissionDenied) {
    return "permission denied; let this user read it, or pass it on standard input, as -";
  }
  if (error instanceof Deno.errors.IsADirectory) return "it is a folder; name a file in it";
  // The decoder's own words name nothing.
  if (error instanceof TypeError) return "it is not UTF-8 text; is it a topology document?";
  return (error as Error).message.replace(/^Cannot read the document: /, "");
}
