import assert from "node:assert/strict";
import { join } from "node:path";

import { cachePath, readIfThere, writeCached } from "./base_cache.ts";

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
