// deno-lint-ignore-file no-console
/**
 * Checks that a build gives the same bytes again: compiles the work tree, uncommitted changes
 * included, in two folders. Takes the options of compile.ts.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { dirname, join, resolve } from "node:path";
import { run, runTool, sourceTime } from "./build.ts";

const root = resolve(import.meta.dirname!, "..");

/** What must not matter: the folder's name, the environment, and the time. */
const builds: readonly { folder: string; env: Record<string, string>; clock: string[] }[] = [
  { folder: "a", env: {}, clock: [] },
  {
    folder: "a-longer-name/and-one-folder-deeper",
    env: { TZ: "Pacific/Apia", LANG: "C", NODE_ENV: "production" },
    clock: ["faketime", "-f", "+1h"],
  },
];

async function main(args: string[], env: Record<string, string>) {
  const time = await sourceTime(root, env);
  const scratch = await Deno.makeTempDir({ prefix: "decnet-agent-twice-" });
  try {
    // Both before the first build, as the work tree may be edited meanwhile.
    for (const { folder } of builds) await copyWorkTree(join(scratch, folder));
    const hashes: string[] = [];
    for (const build of builds) {
      const folder = join(scratch, build.folder);
      const hash = await compileIn(folder, [...build.clock, Deno.execPath()], {
        args,
        env: { ...env, ...build.env, SOURCE_DATE_EPOCH: String(time) },
      });
      console.log(`${hash}  ${folder} ${build.clock.join(" ")}`);
      hashes.push(hash);
    }
    if (new Set(hashes).size > 1) {
      throw new Error("Cannot repeat the build: the two executables differ");
    }
    console.log("Both builds, in two folders and an hour apart, gave the same bytes");
  } finally {
    await Deno.remove(scratch, { recursive: true });
  }
}

async function copyWorkTree(folder: string): Promise<void> {
  const list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
  const listed = await run("git", list, { cwd: root });
  for (const name of new Set(listed.split("\0").filter(Boolean))) {
    const copy = join(folder, name);
    await Deno.mkdir(dirname(copy), { recursive: true });
    await Deno.copyFile(join(root, name), copy).catch((error) => {
      // Listed still, but deleted in the work tree.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
  }
}

async function compileIn(
  folder: string,
  [program, ...before]: readonly string[],
  { args, env }: { args: readonly string[]; env: Record<string, string> },
): Promise<string> {
  const output = join(folder, "dist", "decnet-agent");
  const compile = [...before, "run", "-A", "tools/compile.ts", ...args, "--output", output];
  await run(program!, compile, { cwd: folder, env });
  const bytes = await Deno.readFile(output);
  if (Buffer.from(bytes.buffer).includes(folder)) {
    throw new Error(`Cannot ship this build: it has its folder in it, ${folder}`);
  }
  return createHash("sha256").update(bytes).digest("hex");
}

if (import.meta.main) await runTool(main);
