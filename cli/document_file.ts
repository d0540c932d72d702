import { explain } from "../store/file.ts";
import { StoreReader } from "../store/store_reader.ts";
import { unknownDocument } from "../store/topology_store.ts";
import { type Json, parseJson } from "../topology/json.ts";
import type { Terminal } from "./terminal.ts";

/** The document in a file, or on standard input for `-`. Throws `Error` when there is none. */
export async function readDocument(
  file: string,
  { readInput }: Pick<Terminal, "readInput">,
): Promise<Json> {
  try {
    return parseJson(new TextDecoder("utf-8", { fatal: true }).decode(await readInput(file)));
  } catch (cause) {
    throw new Error(`Cannot read ${file}: ${explainDocumentFile(cause)}`, { cause });
  }
}

function explainDocumentFile(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "no such file";
  if (error instanceof Deno.errors.PermissionDenied) {
    return "permission denied; let this user read it, or pass it on standard input, as -";
  }
  if (error instanceof Deno.errors.IsADirectory) return "it is a folder; name a file in it";
  // The decoder's own words name nothing.
  if (error instanceof TypeError) return "it is not UTF-8 text; is it a topology document?";
  return (error as Error).message.replace(/^Cannot read the document: /, "");
}

const advice = "apply it from its file, or wait for the master";

/** The document that the store holds, and its text there. Throws `Error` when it holds none. */
export async function readStoredDocument(
  storePath: string,
): Promise<{ document: Json; stored: string }> {
  const stored = await readText(storePath);
  try {
    return { document: parseJson(stored), stored };
  } catch (cause) {
    const { message } = cause as Error;
    throw new Error(`Cannot read the document in the store ${storePath}: ${message}`, { cause });
  }
}

async function readText(storePath: string): Promise<string> {
  const reader = new StoreReader(storePath);
  let applied;
  try {
    applied = await reader.current(new AbortController().signal);
  } catch (cause) {
    throw new Error(`Cannot read the store ${storePath}: ${explain(cause)}`, { cause });
  } finally {
    reader.close();
  }
  if (applied === null) {
    throw new Error(`nothing is applied according to ${storePath}; apply a topology from its file`);
  }
  if (applied.document !== unknownDocument) return applied.document;
  throw new Error(
    `the store ${storePath} holds no document of topology ${applied.topologyId}; ${advice}`,
  );
}
