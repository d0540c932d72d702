import assert from "node:assert/strict";
import { join } from "node:path";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { checkDenoVersion } from "./compile.ts";

Deno.test("checkDenoVersion() rejects a Deno before 2.7.14, even if it is pinned", () => {
  for (const version of ["1.46.3", "2.6.8", "2.7.13", "2.7.13-rc.1"]) {
    assert.throws(() => checkDenoVersion(version, version), /before 2\.7\.14 the API lets in/);
  }
  for (const version of ["2.7.14", "2.8.0", "2.10.1", "3.0.0"]) checkDenoVersion(version, version);
});

Deno.test("checkDenoVersion() rejects a Deno that is not pinned", () => {
  assert.throws(
    () => checkDenoVersion("2.9.6", "2.9.4"),
    /^Error: Cannot compile with Deno 2\.9\.6: \.tool-versions pins 2\.9\.4; run npx /,
  );
});

Deno.test("compile.ts says why it fails, and leaves no executable", async () => {
  const noHome = { HOME: "", XDG_CACHE_HOME: "", DENORT_BIN: "" };
  const cases: [args: string[], env: Record<string, string>, error: RegExp][] = [
    [
      [],
      { DENORT_BIN: "garbage" },
      /^error: Cannot use the runtime base from DENORT_BIN, garbage: SHA-256 is 795b6904/,
    ],
    [["--target", "sparc"], {}, /^error: Cannot compile for sparc: expected one of x86/],
    [[], noHome, /^error: Cannot locate the cache .* or DENORT_BIN$/m],
  ];
  for (const [args, env, error] of cases) {
    using folder = new TemporaryFolder();
    const output = join(folder.path, "decnet-agent");
    await Deno.writeTextFile(output, "an older one");
    await Deno.writeTextFile(join(folder.path, "garbage"), "garbage");
    const script = join(import.meta.dirname!, "compile.ts");
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", script, "--output", output, ...args],
      cwd: folder.path,
      env,
    }).output();
    assert.equal(code, 1);
    assert.match(new TextDecoder().decode(stderr), error);
    assert.deepEqual([...Deno.readDirSync(folder.path)].map(({ name }) => name), ["garbage"]);
  }
});
