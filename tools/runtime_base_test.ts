import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import {
  cachePath,
  findRuntimeBase,
  readIfThere,
  recoverFromArchive,
  writeCached,
} from "./runtime_base.ts";

const TARGET = "x86_64-unknown-linux-gnu";
const NAME = `decnet-agent/denort-${Deno.version.deno}-${TARGET}`;

Deno.test("cachePath() follows the XDG rules", () => {
  const cases: [env: Record<string, string>, path: string][] = [
    [{ XDG_CACHE_HOME: "/xdg", HOME: "/home/me" }, `/xdg/${NAME}`],
    [{ XDG_CACHE_HOME: "", HOME: "/home/me" }, `/home/me/.cache/${NAME}`],
    [{ XDG_CACHE_HOME: "xdg", HOME: "/home/me" }, `/home/me/.cache/${NAME}`],
    [{ HOME: "/home/me" }, `/home/me/.cache/${NAME}`],
    [{ XDG_CACHE_HOME: "/xdg" }, `/xdg/${NAME}`],
  ];
  for (const [env, path] of cases) assert.equal(cachePath(TARGET, env), path);
});

Deno.test("cachePath() refuses to guess without XDG_CACHE_HOME and HOME", () => {
  const why = /neither XDG_CACHE_HOME nor HOME is set to an absolute path/;

  assert.throws(() => cachePath(TARGET, {}), why);
  assert.throws(() => cachePath(TARGET, { HOME: "me" }), why);
});

Deno.test("writeCached() leaves the file and nothing else", async () => {
  const folder = await Deno.makeTempDir();
  const path = join(folder, "new", "denort");
  const bytes = new Uint8Array([1, 2, 3]);
  try {
    assert.equal(await readIfThere(path), undefined);
    await writeCached(path, bytes);

    assert.deepEqual(await readIfThere(path), bytes);
    assert.equal([...Deno.readDirSync(join(folder, "new"))].length, 1);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

const CARRIER = {
  spec: "carrier@1.0.0",
  integrity: "sha512-other",
  file: "package/program",
};

Deno.test("recoverFromArchive() refuses another archive before unpacking", () => {
  const why = new RegExp(
    "^Error: Cannot recover the runtime base: " +
      "integrity of carrier@1.0.0 is sha512-.{86}==, expected sha512-other$",
  );
  assert.throws(
    () => recoverFromArchive(new TextEncoder().encode("garbage"), CARRIER),
    why,
  );
});

Deno.test("recoverFromArchive() refuses an archive without the program", () => {
  const archive = gzipSync(new Uint8Array(1024));
  const hash = createHash("sha512").update(archive).digest("base64");
  const carrier = { ...CARRIER, integrity: `sha512-${hash}` };

  assert.throws(
    () => recoverFromArchive(archive, carrier),
    /Cannot read package\/program from the tar archive: no such file in it/,
  );
});

const X86 = "x86_64-unknown-linux-gnu";
const ARM = "aarch64-unknown-linux-gnu";

/** Gives each test an environment of its own, in which nothing is cached. */
async function withEnv(
  run: (env: Record<string, string>) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await run({
      ...Deno.env.toObject(),
      DENO_DIR: join(folder, "deno"),
      XDG_CACHE_HOME: join(folder, "cache"),
      DENORT_BIN: "",
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function writeFile(path: string, text: string): Promise<void> {
  await Deno.mkdir(dirname(path), { recursive: true });
  await Deno.writeTextFile(path, text);
}

Deno.test("findRuntimeBase() refuses a target it has no entry for", async () => {
  await assert.rejects(
    findRuntimeBase("riscv64gc-unknown-linux-gnu", { env: {} }),
    /^Error: Cannot compile for riscv64gc.*: expected one of x86_64.*, aarch64/,
  );
});

Deno.test("findRuntimeBase() refuses a DENORT_BIN it cannot vouch for", async (t) => {
  await withEnv(async (env) => {
    const path = join(env.XDG_CACHE_HOME!, "denort");
    await writeFile(path, "garbage");
    const options = { env: { ...env, DENORT_BIN: path } };

    await t.step("other bytes", async () => {
      await assert.rejects(
        findRuntimeBase(X86, options),
        /from DENORT_BIN, .*denort: SHA-256 is 795b6904.* \(7 bytes\), expected 723d45cc/,
      );
    });
    await t.step("other bytes, officially", async () => {
      await assert.rejects(
        findRuntimeBase(X86, { ...options, official: true }),
        /SHA-256 is 795b6904/,
      );
    });
    await t.step("a target without a pinned hash", async () => {
      await assert.rejects(
        findRuntimeBase(ARM, options),
        /no SHA-256 is pinned/,
      );
    });
    await t.step("a missing file", async () => {
      await assert.rejects(
        findRuntimeBase(X86, { env: { ...env, DENORT_BIN: "/nowhere" } }),
        /from DENORT_BIN, \/nowhere: there is no such file/,
      );
    });
  });
});

Deno.test("findRuntimeBase() discards a damaged cache, refuses a damaged download", async () => {
  await withEnv(async (env) => {
    const cached = cachePath(X86, env);
    await writeFile(cached, "garbage");
    const release = join(env.DENO_DIR!, "dl/release", `v${Deno.version.deno}`);
    await writeFile(join(release, `denort-${X86}.zip`), "garbage");
    const lines: string[] = [];

    await assert.rejects(
      findRuntimeBase(X86, { env, log: (line) => lines.push(line) }),
      /denort-x86_64-unknown-linux-gnu.zip: .* no directory at its end; remove/,
    );
    assert.match(lines.join("\n"), /^Discarding .*SHA-256 is 795b6904.*$/);
    await assert.rejects(Deno.stat(cached), Deno.errors.NotFound);
  });
});
