import assert from "node:assert/strict";
import { join } from "node:path";

const SCRIPT = join(import.meta.dirname!, "compile.ts");

interface Run {
  readonly code: number;
  readonly stderr: string;
  /** What is left beside the output's place, where an older output stood before. */
  readonly left: string[];
}

async function compile(
  args: string[],
  env: Record<string, string>,
): Promise<Run> {
  const folder = await Deno.makeTempDir();
  try {
    const output = join(folder, "decnet-agent");
    await Deno.writeTextFile(output, "an older one");
    await Deno.writeTextFile(join(folder, "garbage"), "garbage");
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", SCRIPT, "--output", output, ...args],
      cwd: folder,
      env,
    }).output();
    const left = [...Deno.readDirSync(folder)].map((entry) => entry.name);
    return { code, stderr: new TextDecoder().decode(stderr), left };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("compile.ts refuses a wrong base and leaves no executable", async () => {
  const { code, stderr, left } = await compile([], { DENORT_BIN: "garbage" });

  assert.equal(code, 1);
  assert.match(
    stderr,
    /^error: Cannot use the runtime base from DENORT_BIN, garbage: SHA-256 is 795b6904/,
  );
  assert.deepEqual(left, ["garbage"]);
});

Deno.test("compile.ts refuses an unknown target, then leaves no executable", async () => {
  const { code, stderr, left } = await compile(["--target", "sparc"], {});

  assert.equal(code, 1);
  assert.match(stderr, /^error: Cannot compile for sparc: expected one of x86/);
  assert.deepEqual(left, ["garbage"]);
});

Deno.test("compile.ts says what to do without a home", async () => {
  const { code, stderr } = await compile([], {
    HOME: "",
    XDG_CACHE_HOME: "",
    DENORT_BIN: "",
  });

  assert.equal(code, 1);
  assert.match(stderr, /^error: Cannot locate the cache .* or DENORT_BIN$/m);
});
