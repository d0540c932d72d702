import { join } from "node:path";

import { run } from "./command.ts";

/** Enough for some 40 MB on a slow line, and a bound where packets just vanish. */
const DOWNLOAD_TIMEOUT_MS = 60_000;

/**
 * Returns the path of the zip archive in which Deno itself keeps the runtime base.
 *
 * If it is not in Deno's cache yet, Deno is made to compile an empty program and thus
 * to download it: no address stands here. Its bytes are not checked, neither by Deno
 * nor here. Throws an Error if Deno cannot download it.
 */
export async function downloadBase(
  target: string,
  env: Readonly<Record<string, string>>,
): Promise<string> {
  // With DENORT_BIN set, Deno would download nothing.
  const { DENORT_BIN: _, ...denoEnv } = env;
  const info = JSON.parse(
    await run(Deno.execPath(), ["info", "--json"], { env: denoEnv }),
  );
  const release = join("release", `v${Deno.version.deno}`);
  const path = join(info.denoDir, "dl", release, `denort-${target}.zip`);
  if (await isFile(path)) return path;

  const folder = await Deno.makeTempDir({ prefix: "decnet-agent-download-" });
  try {
    await Deno.writeTextFile(join(folder, "empty.js"), "");
    await run(
      Deno.execPath(),
      ["compile", "--no-config", "--target", target, "empty.js"],
      { cwd: folder, env: denoEnv, timeoutMs: DOWNLOAD_TIMEOUT_MS },
    );
  } catch (error) {
    const why = (error as Error).message;
    throw new Error(`Cannot download the runtime base: ${why}`, {
      cause: error,
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  if (await isFile(path)) return path;
  throw new Error(
    `Cannot download the runtime base: Deno left no file ${path}`,
  );
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
