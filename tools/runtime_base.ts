import { createHash } from "node:crypto";
import { dirname, isAbsolute, join } from "node:path";
import { run } from "./build.ts";
import { recoverBase } from "./elf.ts";

type Environment = Readonly<Record<string, string>>;

/** An npm package that holds a program made by `deno compile` of the same Deno. */
interface Carrier {
  /** Name and exact version, as npm reads them. */
  readonly spec: string;
  /** The archive's SHA-512 in npm's notation, `sha512-` and base64. */
  readonly integrity: string;
  /** The program's path in the archive. */
  readonly file: string;
}

interface Target {
  /** Of the unpacked runtime base of the Deno pinned in .tool-versions. */
  readonly sha256?: string;
  /** A source of the same bytes when Deno's server cannot be reached. */
  readonly carrier?: Carrier;
}

const targets: Readonly<Record<string, Target>> = {
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
export interface RuntimeBase {
  readonly bytes: Uint8Array;
  /** Where the bytes came from, to be read by a person. */
  readonly source: string;
  readonly sha256: string;
  /** False where no hash is pinned yet. */
  readonly pinned: boolean;
}

/** Where to look for the runtime base. */
interface RuntimeBaseOptions {
  readonly env: Environment;
  /** Accepts Deno's own download only, never the npm package or a copy from it. */
  readonly official?: boolean;
  /** Gets one line for each step. */
  readonly log?: (line: string) => void;
}

/**
 * Returns the runtime base for a target, its SHA-256 checked wherever one is pinned.
 *
 * Sources, in this order: the file named by `DENORT_BIN`; our own cache; Deno's cache or download; an
 * npm package that carries the same bytes. Throws `Error` if the target is not supported, no source
 * can be reached, or one yields other bytes.
 */
export async function findRuntimeBase(
  target: string,
  { env, official = false, log = () => {} }: RuntimeBaseOptions,
): Promise<RuntimeBase> {
  const pin = targets[target];
  if (pin === undefined) {
    const expected = Object.keys(targets).join(", ");
    throw new Error(`Cannot compile for ${target}: expected one of ${expected}`);
  }
  const { sha256, carrier } = pin;
  if (env.DENORT_BIN) return await fromDenortBin(env.DENORT_BIN, sha256);
  if (official || sha256 === undefined || carrier === undefined) {
    return check(await downloadBase(target, env), { source: fromDeno, sha256 });
  }

  const kept = cachePath(target, env);
  const cached = await readIfThere(kept);
  if (cached !== undefined) {
    const got = hashOf(cached);
    if (got === sha256) return { bytes: cached, source: kept, sha256, pinned: true };
    log(`Discarding ${kept}: SHA-256 is ${got}, expected ${sha256}`);
    await Deno.remove(kept);
  }

  const downloaded = await downloadBase(target, env).catch((error: Error) => {
    log(`${summary(error)}; going on without`);
  });
  if (downloaded !== undefined) return check(downloaded, { source: fromDeno, sha256 });

  log(
    `Recovering the same bytes from the npm package ${carrier.spec}; none are used but those with ` +
      `SHA-256 ${sha256}, which is pinned`,
  );
  const source = `npm package ${carrier.spec}`;
  const base = check(await recoverFromNpm(carrier, env), { source, sha256 });
  await writeCached(kept, base.bytes);
  return base;
}

const fromDeno = "deno compile, its cache or download";

async function fromDenortBin(path: string, sha256: string | undefined): Promise<RuntimeBase> {
  const source = `DENORT_BIN, ${path}`;
  const bytes = await readIfThere(path);
  if (bytes === undefined) throw unusable(source, "there is no such file");
  const fix = "unset DENORT_BIN";
  if (sha256 !== undefined) return check(bytes, { source, sha256, fix });
  throw unusable(source, `no SHA-256 is pinned to check it by; ${fix}`);
}

function check(
  bytes: Uint8Array,
  { source, sha256, fix }: { source: string; sha256: string | undefined; fix?: string },
): RuntimeBase {
  const got = hashOf(bytes);
  if (sha256 === undefined || got === sha256) {
    return { bytes, source, sha256: got, pinned: sha256 !== undefined };
  }
  const why = `SHA-256 is ${got} (${bytes.length} bytes), expected ${sha256}`;
  throw unusable(source, fix === undefined ? why : `${why}; ${fix}`);
}

function unusable(source: string, why: string): Error {
  return new Error(`Cannot use the runtime base from ${source}: ${why}`);
}

function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Returns what failed, and the innermost cause: Deno prints one on each line, with a number. */
function summary(error: Error): string {
  const lines = error.message.split("\n");
  const cause = lines.at(-1)!.replace(/^\s*\d+: /, "");
  return lines.length === 1 ? cause : `${lines[0]}: ${cause}`;
}

/** Enough for some 40 MB on a slow line. */
const downloadTimeoutMs = 60_000;

/**
 * Lets Deno take the runtime base from its cache, or download it, for an empty program, and takes it out
 * of that again. Throws `Error` if that fails.
 */
async function downloadBase(target: string, env: Environment): Promise<Uint8Array> {
  // With DENORT_BIN set, Deno would download nothing.
  const { DENORT_BIN: _, ...denoEnv } = env;
  const cwd = await Deno.makeTempDir({ prefix: "decnet-agent-download-" });
  try {
    await Deno.writeTextFile(join(cwd, "empty.js"), "");
    const args = ["compile", "--no-config", "--target", target, "--output", "empty", "empty.js"];
    await run(Deno.execPath(), args, { cwd, env: denoEnv, timeoutMs: downloadTimeoutMs });
    return recoverBase(await Deno.readFile(join(cwd, "empty")));
  } catch (cause) {
    throw new Error(`Cannot download the runtime base: ${(cause as Error).message}`, { cause });
  } finally {
    await Deno.remove(cwd, { recursive: true });
  }
}

/**
 * Recovers the runtime base from an npm package, fetched with the npm client. Nothing of the package
 * is run. The caller has to check the hash of the result.
 */
async function recoverFromNpm(carrier: Carrier, env: Environment): Promise<Uint8Array> {
  const cwd = await Deno.makeTempDir({ prefix: "decnet-agent-carrier-" });
  try {
    const pack = ["pack", "--ignore-scripts", carrier.spec];
    await run("npm", pack, { cwd, env }).catch((error: Error) => {
      const why = error instanceof Deno.errors.NotFound ? "npm was not found" : error.message;
      throw failed(`${why}\nInstall Node with npm, or set DENORT_BIN to the runtime base`);
    });
    const [archive] = [...Deno.readDirSync(cwd)];
    return await recoverFromArchive(join(cwd, archive!.name), carrier);
  } finally {
    await Deno.remove(cwd, { recursive: true });
  }
}

/** Recovers the runtime base. Throws `Error`, before it unpacks anything, for another archive. */
export async function recoverFromArchive(
  path: string,
  { spec, integrity, file }: Carrier,
): Promise<Uint8Array> {
  const got = `sha512-${createHash("sha512").update(await Deno.readFile(path)).digest("base64")}`;
  if (got !== integrity) throw failed(`integrity of ${spec} is ${got}, expected ${integrity}`);
  await run("tar", ["-xzf", path, "-C", dirname(path), file]);
  return recoverBase(await Deno.readFile(join(dirname(path), file)));
}

function failed(why: string): Error {
  return new Error(`Cannot recover the runtime base: ${why}`);
}

/**
 * Returns the place of a runtime base in our own cache, below `XDG_CACHE_HOME`, or else below
 * `.cache` in `HOME`. Throws `Error` if neither is an absolute path.
 */
export function cachePath(target: string, env: Environment): string {
  const { XDG_CACHE_HOME: cache = "", HOME: home = "" } = env;
  if (!isAbsolute(cache) && !isAbsolute(home)) {
    throw new Error(
      "Cannot locate the cache of the runtime base: neither XDG_CACHE_HOME nor HOME is set to an " +
        "absolute path; set one of them, or DENORT_BIN",
    );
  }
  const folder = isAbsolute(cache) ? cache : join(home, ".cache");
  return join(folder, "decnet-agent", `denort-${Deno.version.deno}-${target}`);
}

async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    return await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Writes the file by a rename, so that no other build ever sees a part of it. */
export async function writeCached(path: string, bytes: Uint8Array): Promise<void> {
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
