import assert from "node:assert/strict";
import { keys } from "../cli/help.ts";
import { configurationReference, generatedFiles } from "./generate.ts";

Deno.test("configurationReference() has a section for each key", () => {
  const text = configurationReference(keys);
  assert.equal(text.match(/^## /gm)?.length, keys.length);
  for (const { name, placeholder } of keys) {
    const [, section = ""] = text.split(`## \`${name}\`\n\n`);
    assert.match(section, /^[A-Z].* Set it [^.]+\.\n\n/);
    assert.ok(section.includes(`- \`${placeholder}\`: `));
    assert.match(section, /^- Default: \S.*\n/m);
  }
  const written = Deno.readTextFileSync(new URL("../docs/configuration.md", import.meta.url));
  assert.ok(written.split(/\s+/).length <= 1_300);
  assert.deepEqual(written.split("\n").filter((line) => line.length > 120), []);
});

const root = new URL("../", import.meta.url);

for (const [path, text] of await generatedFiles()) {
  Deno.test(`${path} is up to date with tools/generate.ts`, async () => {
    assert.equal(await Deno.readTextFile(new URL(path, root)), text);
  });
}
