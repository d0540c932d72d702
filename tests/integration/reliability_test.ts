import assert from "node:assert/strict";

const root = new URL("../../", import.meta.url);
const ignored = /^(\.git|node_modules|dist|docs)$/;

/** Returns the text of all files below `folder` that hold tests or their tables. */
function testSources(folder: URL): string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) => {
    if (isDirectory) return ignored.test(name) ? [] : testSources(new URL(`${name}/`, folder));
    const url = new URL(name, folder);
    const isTest = name.endsWith("_test.ts") || url.pathname.includes("/tests/");
    return isTest && name.endsWith(".ts") ? [Deno.readTextFileSync(url)] : [];
  });
}

Deno.test("docs/reliability.md has exactly the rows that tests begin with", () => {
  const document = Deno.readTextFileSync(new URL("docs/reliability.md", root));
  const rows = [...document.matchAll(/^- \*\*([A-Z]\d+)\*\* /gm)].map(([, id]) => id!);
  assert.equal(new Set(rows).size, rows.length);
  assert.ok(rows.length > 80);
  // A title, or a row of a table of tests, begins with one or more ids: D6 D7.
  const titles = testSources(root).join("\n").matchAll(/["'`]((?:[CDLMRST]\d+ )+)/g);
  const tested = new Set([...titles].flatMap(([, ids]) => ids!.trim().split(" ")));
  assert.deepEqual([...tested].sort(), rows.sort());
});

Deno.test("test titles have at most 70 characters", () => {
  const titles = testSources(root).join("\n")
    .matchAll(/\btest(?:With)?\(\s*(?:[\w.]+,\s*)?(?:\{\s*name:\s*)?(["`])(.*?)\1/gs);
  const plain = [...titles].map(([, , title]) => title!.replaceAll(/\$\{[^}]*\}/g, ""));
  assert.ok(plain.length > 900);
  assert.deepEqual(plain.filter((title) => title.length > 70), []);
});
