import assert from "node:assert/strict";
import { firstDifference } from "../../tools/hash_against_python.ts";
import { python } from "../support/requirements.ts";

Deno.test({
  name: `versionHash() agrees with python3 on random documents${python.suffix}`,
  ignore: python.ignore,
  async fn() {
    python.check();
    const seed = crypto.getRandomValues(new Uint32Array(1))[0]!;
    assert.equal(await firstDifference(2_000, seed), null, `with the seed ${seed}`);
  },
});

const script = new URL("../../tools/hash_against_python.ts", import.meta.url).pathname;

Deno.test("hash_against_python.ts refuses what is no whole number", async () => {
  const cases = [
    "--count=",
    "--count=2e3",
    "--count=1.5",
    "--count=many",
    "--seed=-1",
    "--seed=0x",
  ];
  for (const option of cases) {
    const args = ["run", "--quiet", "--no-prompt", script, option];
    const { code, stderr } = await new Deno.Command(Deno.execPath(), { args }).output();
    assert.equal(code, 2, option);
    assert.match(new TextDecoder().decode(stderr), /must be a whole number/, option);
  }
});
