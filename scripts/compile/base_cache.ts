import { dirname, isAbsolute, join } from "node:path";

/**
 * Returns the place of a runtime base in our own cache, outside the repository.
 *
 * That is below `XDG_CACHE_HOME`, or else below `.cache` in `HOME`. Throws an Error
 * if neither is set; a relative path counts as unset, as the XDG rules have it.
 */
export function cachePath(
  target: string,
  env: Readonly<Record<string, string>>,
): string {
  const { XDG_CACHE_HOME: cache = "", HOME: home = "" } = env;
  if (!isAbsolute(cache) && !isAbsolute(home)) {
    throw new Error(
      "Cannot locate the cache of the runtime base: neither XDG_CACHE_HOME nor " +
        "HOME is set to an absolute path; set one of them, or DENORT_BIN",
    );
  }
  const folder = isAbsolute(cache) ? cache : join(home, ".cache");
  const name = `denort-${Deno.version.deno}-${target}`;
  return join(folder, "decnet-agent", name);
}

/** Returns the file's bytes, or undefined if it is not there. */
export async function readIfThere(
  path: string,
): Promise<Uint8Array | undefined> {
  try {
    return await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Writes the file by a rename, so that no other build ever sees a part of it. */
export async function writeCached(
  path: string,
  bytes: Uint8Array,
): Promise<void> {
  const folder = dirname(path);
  await Deno.mkdir(folder, { recursive: true });
  const part = await Deno.makeTempFile({ dir: folder, prefix: "part-" });
  try {
    await Deno.writeFile(part, bytes);
    await Deno.rename(part, path);
  } catch (error) {
    await Deno.remove(part);
    throw error;
  }
}
