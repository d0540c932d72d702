import assert from "node:assert/strict";

/** Checks the rules of CONTRIBUTING.md that a program can check, on the product. */

const root = new URL("../", import.meta.url);

/** Modules from the entry to the core: imports run down these lines, or stay in one module. */
const levels = [
  ["main.ts"],
  ["cli"],
  ["api", "doctor", "packaging"],
  ["agent", "apply"],
  ["store", "docker", "master"],
  ["host"],
  ["topology"],
];
const levelOf = (path: string) => levels.findIndex((it) => it.includes(path.split("/")[0]!));

const notProduct = /^(tests|tools|bench|examples|dist|node_modules|\..*)$/;

/** Returns the paths, below the root, of the product's files in `folder`. */
function productFiles(folder: string): string[] {
  return [...Deno.readDirSync(new URL(folder, root))].flatMap(({ name, isDirectory }) => {
    if (isDirectory) return notProduct.test(name) ? [] : productFiles(`${folder}${name}/`);
    return name.endsWith(".ts") && !name.endsWith("_test.ts") ? [`${folder}${name}`] : [];
  });
}

const product = productFiles("./").map((it) => it.slice(2))
  .map((path) => ({ path, text: Deno.readTextFileSync(new URL(path, root)) }));
const linesOf = (text: string) => text.split("\n").length - 1;
const code = (text: string) => text.replaceAll(/\/\*.*?\*\/|\/\/ [^\n]*/gs, "");

/** Returns the files that a file imports, lazily or not. */
const importsOf = ({ path, text }: { path: string; text: string }) =>
  [...code(text).matchAll(/(?:from|import\(?)\s*"(\.[^"]+\.ts)"/g)]
    .map(([, target]) => new URL(target!, new URL(path, root)).href.slice(root.href.length));

Deno.test("imports run from main.ts to topology, never back or sideways", () => {
  const against = product.flatMap((file) => {
    const module = file.path.split("/")[0];
    return importsOf(file).filter((target) =>
      target.split("/")[0] !== module && levelOf(target) <= levelOf(file.path)
    ).map((target) => `${file.path} imports ${target}`);
  });
  assert.deepEqual(against, []);
});

Deno.test("each product file has a module", () => {
  assert.deepEqual(product.filter(({ path }) => levelOf(path) < 0).map(({ path }) => path), []);
});

Deno.test("no product file has over 500 lines, few have under 40", () => {
  assert.deepEqual(product.filter(({ text }) => linesOf(text) > 500).map(({ path }) => path), []);
  const short = product.filter(({ text }) => linesOf(text) < 40).map(({ path }) => path);
  assert.ok(short.length <= 12, short.join("\n"));
});

Deno.test("identifiers and texts use the words of the field", () => {
  const names = /\w*(?:Stock|Diary|Bell|Crowd|Patient|Prospect|Surroundings)\w*/g;
  const beat = /\w*(?<!heart|Heart)[Bb]eat(?!s_total|_\w+_seconds)\w*/g;
  const found = product.flatMap(({ path, text }) => {
    const identifiers = code(text).replaceAll(/"[^"\n]*"|`[^`]*`/g, '""');
    const words = [names, beat].flatMap((it) => identifiers.match(it) ?? []);
    return [...words, ...text.match(/\bbeat(?:s|ing)?\b/gi) ?? []].map((it) => `${path}: ${it}`);
  });
  assert.deepEqual(found, []);
});

Deno.test("a default stands in one product file", () => {
  for (const value of ["8770", "/etc/decnet", "debian:bookworm-slim", "/var/lib/decnet-agent"]) {
    const files = product.filter(({ text }) => code(text).includes(value)).map(({ path }) => path);
    assert.ok(files.length <= 1, `${value}: ${files}`);
  }
});

Deno.test("no argument with a side effect stands behind ?.", () => {
  // It would happen only where the callback is set. Parentheses may be nested once.
  const call = /\?\.(?:#?\w+)?\((?:[^;()]|\([^()]*\))*?(?:\+\+|--| = |\bawait\b)/g;
  const found = product.flatMap(({ path, text }) =>
    (code(text).match(call) ?? []).map((it) => `${path}: ${it}`)
  );
  assert.deepEqual(found, []);
});

Deno.test("no product file has a using declaration", () => {
  // The bundler's minifier loses it, so that nothing would be closed.
  const found = product.filter(({ text }) => /^\s*(?:await )?using\s/m.test(code(text)));
  assert.deepEqual(found.map(({ path }) => path), []);
});
