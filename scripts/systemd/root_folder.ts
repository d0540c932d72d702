import { isAbsolute, join } from "node:path";
import { execute } from "./execute.ts";

/** The release that is booted; its systemd is 252, the oldest that the unit is made for. */
const release = "bookworm";
const packages = ["cron", "dbus", "procps", "systemd", "systemd-sysv"];

/**
 * Returns the root folder of a small Debian with systemd and cron. It is made once, with debootstrap,
 * and kept in the user's cache: nothing is ever written to it again, and one with other packages is
 * another folder.
 */
export async function findRootFolder(
  env: Readonly<Record<string, string>>,
  { signal, log }: { signal: AbortSignal; log: (line: string) => void },
): Promise<string> {
  const cache = join(cacheFolder(env), "decnet-agent");
  const root = join(cache, ["systemd", release, await digest(packages.join(" "))].join("-"));
  if (await isFolder(root)) return root;
  log(`Makes ${root} with debootstrap, which takes a minute`);
  await Deno.mkdir(cache, { recursive: true });
  const unfinished = await Deno.makeTempDir({ dir: cache, prefix: "debootstrap-" });
  try {
    // In namespaces of its own: when it is interrupted, its processes and mounts are gone, too.
    const apart = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    const wish = ["--variant=minbase", `--include=${packages.join(",")}`, release, unfinished];
    await execute("unshare", [...apart, "debootstrap", ...wish], { signal });
    await Deno.chmod(unfinished, 0o755);
    await Deno.rename(unfinished, root);
  } catch (error) {
    await Deno.remove(unfinished, { recursive: true });
    throw error;
  }
  return root;
}

/** The beginning of a SHA-256, enough to tell a few apart. */
async function digest(text: string): Promise<string> {
  const bytes = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return new Uint8Array(bytes).toHex().slice(0, 8);
}

function cacheFolder({ XDG_CACHE_HOME: cache = "", HOME: home = "" }: Record<string, string>) {
  if (isAbsolute(cache)) return cache;
  if (isAbsolute(home)) return join(home, ".cache");
  throw new Error("Cannot find the cache: neither XDG_CACHE_HOME nor HOME is an absolute path");
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isDirectory;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
