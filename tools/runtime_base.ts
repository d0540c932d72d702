import { createHash } from "node:crypto";
import { dirname, isAbsolute, join } from "node:path";
import { readTarGzEntry, readZipEntry } from "./archive.ts";
import { run } from "./build.ts";
import { recoverBase } from "./elf.ts";

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

/** Enough for some 40 MB on a slow line. */
const DOWNLOAD_TIMEOUT_MS = 60_000;

/**
 * Returns the path of the zip archive in which Deno itself keeps the runtime base.
 *
 * If it is not in Deno's cache yet, compiles an empty program, for which Deno downloads it: so no
 * address stands here. Neither Deno nor this function checks its bytes. Throws an Error if Deno cannot download it.
 */
async function downloadBase(
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

/** An npm package that holds a program made by `deno compile` of the same Deno. */
interface Carrier {
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
async function recoverFromNpm(carrier: Carrier): Promise<Uint8Array> {
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

interface Target {
  /** Of the unpacked runtime base of the Deno pinned in .tool-versions. */
  readonly sha256?: string;
  /** A source of the same bytes for when Deno's server cannot be reached. */
  readonly carrier?: Carrier;
}

const TARGETS: Readonly<Record<string, Target>> = {
  "x86_64-unknown-linux-gnu": {
    sha256: "723d45cca4f68bd66652da1e0d45562b0700317c1535981035f50f078785a131",
    carrier: {
      spec: "@chelonia/cli-x64-linux@3.4.0",
      integrity:
        "sha512-ey7BqNiIOY2PkpN/UYxjpmOG1A7HmplyadP80omXTG1DVu1fbz7ro/d4gRPtHaxPRkNJTS24lDejc5/rT/3RMA==",
      file: "package/chel",
    },
  },
  "aarch64-unknown-linux-gnu": {},
};

/** The runtime that becomes the first part of the executable. */
interface RuntimeBase {
  readonly bytes: Uint8Array;
  /** Where the bytes came from, to be read by a person. */
  readonly source: string;
  readonly sha256: string;
  /** False where no hash is pinned yet. */
  readonly pinned: boolean;
}

/** Where to look for the runtime base. */
interface RuntimeBaseOptions {
  readonly env: Readonly<Record<string, string>>;
  /** Accepts Deno's own download only, never the npm package or a copy from it. */
  readonly official?: boolean;
  /** Gets one line for each step. */
  readonly log?: (line: string) => void;
}

/**
 * Returns the runtime base for a target, its SHA-256 checked wherever one is pinned.
 *
 * Sources, in this order: the file named by `DENORT_BIN`; our own cache; Deno's cache
 * or download; an npm package that carries the same bytes. Throws an Error if the
 * target is not supported, no source can be reached, or one yields other bytes.
 */
export async function findRuntimeBase(
  target: string,
  { env, official = false, log = () => {} }: RuntimeBaseOptions,
): Promise<RuntimeBase> {
  const { sha256, carrier } = pinOf(target);
  if (env.DENORT_BIN) return await fromDenortBin(env.DENORT_BIN, sha256);
  if (official || sha256 === undefined || carrier === undefined) {
    return await fromDeno(await downloadBase(target, env), sha256);
  }

  const kept = cachePath(target, env);
  const cached = await readIfThere(kept);
  if (cached !== undefined) {
    const got = digest(cached);
    if (got === sha256) {
      return { bytes: cached, source: kept, sha256, pinned: true };
    }
    log(`Discarding ${kept}: SHA-256 is ${got}, expected ${sha256}`);
    await Deno.remove(kept);
  }

  const archive = await downloadBase(target, env).catch((error: Error) => {
    log(`${summary(error)}; going on without`);
  });
  if (archive !== undefined) return await fromDeno(archive, sha256);

  log(`Recovering the same bytes from the npm package ${carrier.spec}`);
  const source = `npm package ${carrier.spec}`;
  const base = check(await recoverFromNpm(carrier), { source, sha256 });
  await writeCached(kept, base.bytes);
  return base;
}

function pinOf(target: string): Target {
  const pin = TARGETS[target];
  if (pin !== undefined) return pin;
  throw new Error(
    `Cannot compile for ${target}: expected one of ${Object.keys(TARGETS).join(", ")}`,
  );
}

async function fromDenortBin(
  path: string,
  sha256: string | undefined,
): Promise<RuntimeBase> {
  const source = `DENORT_BIN, ${path}`;
  const bytes = await readIfThere(path);
  if (bytes === undefined) {
    throw refusal(source, "there is no such file");
  }
  if (sha256 === undefined) {
    throw refusal(
      source,
      "no SHA-256 is pinned to check it by; unset DENORT_BIN",
    );
  }
  return check(bytes, { source, sha256, fix: "unset DENORT_BIN" });
}

async function fromDeno(
  path: string,
  sha256: string | undefined,
): Promise<RuntimeBase> {
  const fix = "remove that file and try again";
  let bytes;
  try {
    bytes = readZipEntry(await Deno.readFile(path), "denort");
  } catch (error) {
    throw refusal(path, `${(error as Error).message}; ${fix}`);
  }
  return check(bytes, { source: path, sha256, fix });
}

interface Expectation {
  readonly source: string;
  readonly sha256: string | undefined;
  readonly fix?: string;
}

function check(
  bytes: Uint8Array,
  { source, sha256, fix }: Expectation,
): RuntimeBase {
  const got = digest(bytes);
  if (sha256 === undefined) {
    return { bytes, source, sha256: got, pinned: false };
  }
  if (got === sha256) return { bytes, source, sha256, pinned: true };
  throw refusal(
    source,
    `SHA-256 is ${got} (${bytes.length} bytes), expected ${sha256}` +
      (fix === undefined ? "" : `; ${fix}`),
  );
}

function refusal(source: string, why: string): Error {
  return new Error(`Cannot use the runtime base from ${source}: ${why}`);
}

/** Returns what failed, and the innermost cause: Deno prints one on each line, with a number. */
function summary(error: Error): string {
  const lines = error.message.split("\n");
  const cause = lines.at(-1)!.replace(/^\s*\d+: /, "");
  return lines.length === 1 ? cause : `${lines[0]}: ${cause}`;
}

function digest(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
