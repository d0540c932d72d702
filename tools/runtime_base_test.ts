import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { Buffer } from "node:buffer";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { recoverBase } from "./elf.ts";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { cachePath, findRuntimeBase, recoverFromArchive, writeCached } from "./runtime_base.ts";

const x86 = "x86_64-unknown-linux-gnu";
const name = `decnet-agent/denort-${Deno.version.deno}-${x86}`;

Deno.test("cachePath() follows the XDG rules", () => {
  const cases: [env: Record<string, string>, path: string][] = [
    [{ XDG_CACHE_HOME: "/xdg", HOME: "/home/me" }, `/xdg/${name}`],
    [{ XDG_CACHE_HOME: "", HOME: "/home/me" }, `/home/me/.cache/${name}`],
    [{ XDG_CACHE_HOME: "xdg", HOME: "/home/me" }, `/home/me/.cache/${name}`],
    [{ HOME: "/home/me" }, `/home/me/.cache/${name}`],
    [{ XDG_CACHE_HOME: "/xdg" }, `/xdg/${name}`],
  ];
  for (const [env, path] of cases) assert.equal(cachePath(x86, env), path);
  for (const env of [{}, { HOME: "me" }]) {
    assert.throws(
      () => cachePath(x86, env as Record<string, string>),
      /neither XDG_CACHE_HOME nor HOME is set to an absolute path/,
    );
  }
});

Deno.test("writeCached() leaves the file and nothing else", async () => {
  using folder = new TemporaryFolder();
  const path = join(folder.path, "new", "denort");
  await writeCached(path, Uint8Array.of(1, 2, 3));
  assert.deepEqual(await Deno.readFile(path), Uint8Array.of(1, 2, 3));
  assert.equal([...Deno.readDirSync(dirname(path))].length, 1);
});

Deno.test("recoverFromArchive() rejects an archive that does not carry the base", async () => {
  using folder = new TemporaryFolder();
  const path = join(folder.path, "carrier.tgz");
  const carrier = { spec: "carrier@1.0.0", integrity: "sha512-other", file: "package/program" };
  const archive = gzipSync(new Uint8Array(1024));
  await Deno.writeFile(path, archive);
  await assert.rejects(
    recoverFromArchive(path, carrier),
    /^Error: Cannot recover the runtime base: integrity of carrier@1\.0\.0 is sha512-.{86}==, expected sha512-other$/,
  );
  const integrity = `sha512-${createHash("sha512").update(archive).digest("base64")}`;
  await assert.rejects(
    recoverFromArchive(path, { ...carrier, integrity }),
    /^Error: tar -xzf ended with code \d\n.*package\/program: Not found in archive/,
  );
});

/** Returns an environment in which nothing is cached. */
function envIn(folder: string): Record<string, string> {
  const own = { DENO_DIR: join(folder, "deno"), XDG_CACHE_HOME: join(folder, "cache") };
  return { ...Deno.env.toObject(), ...own, DENORT_BIN: "" };
}

async function writeGarbage(path: string): Promise<void> {
  await Deno.mkdir(dirname(path), { recursive: true });
  await Deno.writeTextFile(path, "garbage");
}

Deno.test("findRuntimeBase() rejects a DENORT_BIN with an unknown hash", async () => {
  using folder = new TemporaryFolder();
  const garbage = join(folder.path, "denort");
  await writeGarbage(garbage);
  const cases: [target: string, base: string, official: boolean, why: RegExp][] = [
    [
      x86,
      garbage,
      false,
      /from DENORT_BIN, .*denort: SHA-256 is 795b6904.* \(7 bytes\), expected 723d45cc/,
    ],
    [x86, garbage, true, /SHA-256 is 795b6904/],
    ["aarch64-unknown-linux-gnu", garbage, false, /no SHA-256 is pinned/],
    [x86, "/nowhere", false, /from DENORT_BIN, \/nowhere: there is no such file/],
  ];
  for (const [target, DENORT_BIN, official, why] of cases) {
    const env = { ...envIn(folder.path), DENORT_BIN };
    await assert.rejects(findRuntimeBase(target, { env, official }), why);
  }
});

Deno.test("findRuntimeBase() discards a damaged cache, rejects a damaged download", async () => {
  using folder = new TemporaryFolder();
  const env: Record<string, string> = { ...envIn(folder.path), PATH: "/nowhere" };
  const cached = cachePath(x86, env);
  await writeGarbage(cached);
  const download = `dl/release/v${Deno.version.deno}/denort-${x86}.zip`;
  await writeGarbage(join(env.DENO_DIR!, download));
  const lines: string[] = [];
  await assert.rejects(
    findRuntimeBase(x86, { env, log: (line) => lines.push(line) }),
    /^Error: Cannot recover the runtime base: npm was not found\nInstall Node/,
  );
  assert.match(lines[0]!, /^Discarding .*SHA-256 is 795b6904/);
  assert.match(lines[1]!, /^Cannot download the runtime base: .*; going on without$/);
  await assert.rejects(Deno.stat(cached), Deno.errors.NotFound);
});

Deno.test("findRuntimeBase() takes the base out of a program that Deno compiled", async () => {
  using folder = new TemporaryFolder();
  const { bytes } = await findRuntimeBase(x86, { env: Deno.env.toObject() });
  const program = join(folder.path, "empty.js");
  await Deno.writeTextFile(program, "");
  await Deno.writeFile(join(folder.path, "denort"), bytes);
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["compile", "--quiet", "--no-config", "--output", "empty", program],
    cwd: folder.path,
    env: { DENORT_BIN: join(folder.path, "denort") },
  }).output();
  assert.ok(success);
  assert.ok(
    Buffer.from(bytes).equals(recoverBase(await Deno.readFile(join(folder.path, "empty")))),
  );
});
