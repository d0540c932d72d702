import { forbiddenPath } from "../host/files.ts";
import { explain } from "../store/file.ts";
import { StoreReader } from "../store/store_reader.ts";
import { unknownDocument } from "../store/row.ts";
import { DocumentError, type Json, parseJson } from "../topology/json.ts";
import type { Terminal } from "./terminal.ts";

/** Reads the document in a file; `-` is standard input. Throws `Error` with a text for operators. */
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
    return "permission denied; let this user read it, or pass it on standard input (-)";
  }
  if (error instanceof Deno.errors.NotCapable) {
    return `${forbiddenPath}; pass it on standard input (-)`;
  }
  if (error instanceof Deno.errors.IsADirectory) return "it is a folder; give a file in it";
  // Thrown by the decoder, with a message that does not help.
  if (error instanceof TypeError) return "it is not UTF-8 text; is it a topology document?";
  return error instanceof DocumentError ? error.reason : (error as Error).message;
}

/** Like `readDocument`; null is the document in the store at `storePath`. */
export async function readDocumentOrStored(
  file: string | null,
  storePath: string,
  terminal: Terminal,
): Promise<{ document: Json; storedText?: string }> {
  return file === null
    ? await readStoredDocument(storePath)
    : { document: await readDocument(file, terminal) };
}

/** Throws `Error` with a text for operators when the store holds no document. */
async function readStoredDocument(storePath: string) {
  const reader = new StoreReader(storePath);
  const fail = (what: string, why: string, cause: unknown): never => {
    throw new Error(`Cannot read ${what} ${storePath}: ${why}`, { cause });
  };
  const stored = await reader.current(new AbortController().signal)
    .catch((cause) => fail("the store", explain(cause), cause))
    .finally(() => reader.close());
  if (stored === null) {
    throw new Error(`nothing is applied according to ${storePath}; apply a topology from its file`);
  }
  const { topologyId, document: storedText } = stored;
  if (storedText === unknownDocument) {
    throw new Error(
      `the store ${storePath} holds no document of topology ${topologyId}; apply it from its ` +
        "file, or wait for the master",
    );
  }
  try {
    return { document: parseJson(storedText), storedText };
  } catch (cause) {
    return fail("the document in the store", explainDocumentFile(cause), cause);
  }
}
