import { explain, StoreReader, unknownDocument } from "../store/mod.ts";
import { type Json, parseJson } from "../topology/mod.ts";

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
