import assert from "node:assert/strict";
import manifest from "../../deno.json" with { type: "json" };
import { execute } from "./host.ts";

Deno.test("decnet-agent shows its help and version also where a check was asked for", async () => {
  for (const args of [["--once", "--help"], ["-h", "--once"]]) {
    const { code, stdout } = await execute(args);
    assert.deepEqual([code, stdout.startsWith("decnet-agent --once: ")], [0, true], stdout);
  }
  const { code, stdout } = await execute(["--once", "--version"]);
  assert.equal(code, 0);
  assert.ok(stdout.startsWith(`decnet-agent ${manifest.version} (`), stdout);
});

Deno.test("decnet-agent refuses what does not go with --once as every command does", async () => {
  for (const args of [["--once", "state"], ["--once=yes"], ["--once", "--nonsense"]]) {
    const { code, stdout, stderr } = await execute(args);
    assert.equal(code, 3);
    assert.match(stdout, /^DECNET UNKNOWN - /);
    assert.match(stderr, /^decnet-agent: --/);
  }
});
