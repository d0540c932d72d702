import assert from "node:assert/strict";
import { compileProgram } from "../bench/harness.ts";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { describeSource, run } from "./build.ts";

Deno.test("describeSource() names the commit, its day and uncommitted changes", async () => {
  using folder = new TemporaryFolder();
  const root = folder.path;
  const time = Date.UTC(2026, 10, 29, 23, 59, 59) / 1000;
  assert.equal(await describeSource(root, time), "unknown");
  const git = (...args: string[]) => {
    const name = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
    return run("git", ["-C", root, ...name, ...args]);
  };
  await git("init", "--quiet");
  assert.equal(await describeSource(root, time), "unknown");
  await Deno.writeTextFile(`${root}/a`, "one");
  await git("add", "a");
  await git("commit", "--quiet", "--message=one");
  const commit = (await git("rev-parse", "HEAD")).slice(0, 12);
  assert.equal(await describeSource(root, time), `${commit} 2026-11-29`);
  await Deno.writeTextFile(`${root}/a`, "two");
  assert.equal(await describeSource(root, time), `${commit}+changes 2026-11-29`);
  // A folder in another checkout is none.
  await Deno.mkdir(`${root}/unpacked`);
  assert.equal(await describeSource(`${root}/unpacked`, time), "unknown");
});

Deno.test("build() makes programs whose old garbage is collected early", async () => {
  using folder = new TemporaryFolder();
  const program = `${folder.path}/program`;
  await compileProgram("tests/support/programs/old_garbage.ts", program);
  const mib = Number(await run(program, []));
  // 22 to 25 with V8's own limit, 11 with ours.
  assert.ok(mib > 5 && mib < 16, `${mib} MiB`);
});
