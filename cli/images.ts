import { toApplyError } from "../apply/apply_error.ts";
import { listImageIds } from "../apply/reconcile.ts";
import { validateDocument } from "../apply/validated_document.ts";
import { Engine } from "../docker/engine.ts";
import { findSocket } from "../docker/observe.ts";
import { imagesOf } from "../topology/plan.ts";
import type { CommandOf } from "./args.ts";
import type { Configuration } from "./config.ts";
import { readDocumentOrStored } from "./document_file.ts";
import type { ExitCode } from "./report.ts";
import { printJson, type Terminal } from "./terminal.ts";

/**
 * Runs `images`: prints the names of the images that a document needs, one a line. Calls the engine
 * only with `missing`; then the exit code is 2 when an image is missing, and when the engine fails.
 * Throws `Error` when the document cannot be read, and `ApplyError`.
 */
export async function printImages(
  { agent: { planOptions, sockets, storePath } }: Configuration,
  { file, missing, json }: CommandOf<"images">,
  terminal: Terminal,
): Promise<ExitCode> {
  const { document } = await readDocumentOrStored(file, storePath, terminal);
  const { plan } = await validateDocument(document, { expectedHash: null, planOptions });
  const images = imagesOf(plan);
  const absent = missing ? await findMissing(images, sockets) : null;
  if (json) printJson(terminal, { images, ...(absent && { missing: absent }) });
  else terminal.stdout((absent ?? images).map((image) => `${image}\n`).join(""));
  return absent && absent.length > 0 ? 2 : 0;
}

/** Returns the images that the engine does not have. Throws `ApplyError` `failed`. */
async function findMissing(images: readonly string[], sockets: readonly string[]) {
  try {
    const engine = new Engine(findSocket(sockets), new AbortController().signal);
    const ids = await listImageIds(engine, images).finally(() => engine.close());
    return images.filter((image) => ids.get(image) === null);
  } catch (error) {
    throw toApplyError(error);
  }
}
