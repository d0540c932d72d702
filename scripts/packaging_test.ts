import assert from "node:assert/strict";
import { generatedFiles } from "./packaging.ts";

const root = new URL("../", import.meta.url);

for (const [path, text] of await generatedFiles()) {
  Deno.test(`${path} is what scripts/packaging.ts makes`, async () => {
    assert.equal(await Deno.readTextFile(new URL(path, root)), text);
  });
}

Deno.test("packaging/ holds no other text than what is made", async () => {
  const made = [...(await generatedFiles()).keys()].filter((path) => path.startsWith("packaging/"));
  const found = [...Deno.readDirSync(new URL("packaging/", root))].map(({ name }) => name)
    .filter((name) => !name.endsWith(".ts")).map((name) => `packaging/${name}`);
  assert.deepEqual(found.sort(), made.sort());
});
