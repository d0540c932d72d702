import { createHash } from "node:crypto";
import { join } from "node:path";

import { run } from "./command.ts";
import { recoverBase } from "./elf.ts";
import { readTarGzEntry } from "./tar.ts";

/** An npm package that holds a program made by `deno compile` of the same Deno. */
export interface Carrier {
  /** Name and exact version, as npm takes them. */
  readonly spec: string;
  /** The archive's SHA-512 in npm's notation, `sha512-` and base64. */
  readonly integrity: string;
  /** The program's path in the archive. */
  readonly file: string;
}

/**
 * Recovers the runtime base from an npm package, fetched with the npm client.
 *
 * Nothing of the package is run. The caller has to check the hash of the result.
 */
export async function recoverFromNpm(carrier: Carrier): Promise<Uint8Array> {
  const folder = await Deno.makeTempDir({ prefix: "decnet-agent-carrier-" });
  try {
    await pack(carrier.spec, folder);
    const [archive] = [...Deno.readDirSync(folder)];
    if (archive === undefined) throw failed("npm pack left no file");
    const bytes = await Deno.readFile(join(folder, archive.name));
    return recoverFromArchive(bytes, carrier);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function pack(spec: string, folder: string): Promise<void> {
  try {
    await run("npm", ["pack", "--ignore-scripts", spec], { cwd: folder });
  } catch (error) {
    const why = error instanceof Deno.errors.NotFound
      ? "npm was not found"
      : (error as Error).message;
    throw failed(
      `${why}\nInstall Node with npm, or set DENORT_BIN to the runtime base`,
      error,
    );
  }
}

/**
 * Recovers the runtime base from the package's archive.
 *
 * Throws an Error before it unpacks anything if the archive is not the pinned one.
 */
export function recoverFromArchive(
  archive: Uint8Array,
  carrier: Carrier,
): Uint8Array {
  const got = "sha512-" + createHash("sha512").update(archive).digest("base64");
  if (got !== carrier.integrity) {
    throw failed(
      `integrity of ${carrier.spec} is ${got}, expected ${carrier.integrity}`,
    );
  }
  return recoverBase(readTarGzEntry(archive, carrier.file));
}

function failed(why: string, cause?: unknown): Error {
  return new Error(`Cannot recover the runtime base: ${why}`, { cause });
}
