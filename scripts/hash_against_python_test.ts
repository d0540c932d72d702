import assert from "node:assert/strict";

const script = new URL("hash_against_python.ts", import.meta.url).pathname;

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
