import { createHash } from "node:crypto";

import { cachePath, readIfThere, writeCached } from "./base_cache.ts";
import { downloadBase } from "./deno_download.ts";
import { type Carrier, recoverFromNpm } from "./npm_carrier.ts";
import { readZipEntry } from "./zip.ts";

interface Target {
  /** Of the unpacked runtime base of the Deno pinned in .tool-versions. */
  readonly sha256?: string;
  /** Where the same bytes are to be had if Deno's server cannot be reached. */
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
export interface RuntimeBase {
  readonly bytes: Uint8Array;
  /** Where the bytes came from, to be read by a person. */
  readonly source: string;
  readonly sha256: string;
  /** False where no hash is known yet, so that nothing vouches for the bytes. */
  readonly pinned: boolean;
}

/** What decides where the runtime base is looked for. */
export interface RuntimeBaseOptions {
  readonly env: Readonly<Record<string, string>>;
  /** Take Deno's own download, never the carrier nor what was kept from it. */
  readonly official?: boolean;
  /** Is told each step worth knowing, in one line. */
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
  return check(bytes, { source, sha256, mend: "unset DENORT_BIN" });
}

async function fromDeno(
  path: string,
  sha256: string | undefined,
): Promise<RuntimeBase> {
  const mend = "remove that file and try again";
  let bytes;
  try {
    bytes = readZipEntry(await Deno.readFile(path), "denort");
  } catch (error) {
    throw refusal(path, `${(error as Error).message}; ${mend}`);
  }
  return check(bytes, { source: path, sha256, mend });
}

interface Expectation {
  readonly source: string;
  readonly sha256: string | undefined;
  readonly mend?: string;
}

function check(
  bytes: Uint8Array,
  { source, sha256, mend }: Expectation,
): RuntimeBase {
  const got = digest(bytes);
  if (sha256 === undefined) {
    return { bytes, source, sha256: got, pinned: false };
  }
  if (got === sha256) return { bytes, source, sha256, pinned: true };
  throw refusal(
    source,
    `SHA-256 is ${got} (${bytes.length} bytes), expected ${sha256}` +
      (mend === undefined ? "" : `; ${mend}`),
  );
}

function refusal(source: string, why: string): Error {
  return new Error(`Cannot use the runtime base from ${source}: ${why}`);
}

/** What failed, and the innermost cause: Deno's come one a line, with a number. */
function summary(error: Error): string {
  const lines = error.message.split("\n");
  const cause = lines.at(-1)!.replace(/^\s*\d+: /, "");
  return lines.length === 1 ? cause : `${lines[0]}: ${cause}`;
}

function digest(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
