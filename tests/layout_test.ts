import assert from "node:assert/strict";

// The rules of CONTRIBUTING.md that a program can check.
const root = new URL("../", import.meta.url);

/** Modules from the entry to the core: imports run down these lines, or stay in one module. */
const levels =
  "main.ts > cli > api doctor packaging > agent apply logs > store docker master > host > topology"
    .split(" > ").map((it) => it.split(" "));
const levelOf = (path: string) => levels.findIndex((it) => it.includes(path.split("/")[0]!));

/** Returns the paths, below the root, of all files of code in `folder`. */
function filesIn(folder: string): string[] {
  return [...Deno.readDirSync(new URL(`./${folder}`, root))].flatMap(({ name, isDirectory }) => {
    if (/^(dist|node_modules|\..*)$/.test(name)) return [];
    const path = folder + name;
    return isDirectory ? filesIn(`${path}/`) : name.endsWith(".ts") ? [path] : [];
  });
}

const all = filesIn("").filter((path) => !/^(bench|examples)\//.test(path)).map((path) => {
  const text = Deno.readTextFileSync(new URL(path, root));
  return { path, text, code: text.replaceAll(/\/\*.*?\*\/|\/\/ [^\n]*/gs, "") };
});
const product = all.filter(({ path }) => !/^(tests|tools)\/|_test\.ts$/.test(path));
type ProductFile = typeof product[number];
const pathsOf = (is: (it: ProductFile) => boolean) => product.filter(is).map(({ path }) => path);

/** Returns the files that a file imports, lazily or not. */
const importsOf = ({ path, code }: ProductFile) =>
  [...code.matchAll(/(?:from|import\(?)\s*"(\.[^"]+\.ts)"/g)]
    .map(([, target]) => new URL(target!, new URL(path, root)).href.slice(root.href.length));

Deno.test("imports run from main.ts to topology, never back or sideways", () => {
  const against = product.flatMap((file) => {
    const module = file.path.split("/")[0];
    return importsOf(file).filter((target) =>
      target.split("/")[0] !== module && levelOf(target) <= levelOf(file.path)
    ).map((target) => `${file.path} imports ${target}`);
  });
  assert.deepEqual(against, []);
  assert.deepEqual(pathsOf(({ path }) => levelOf(path) < 0), [], "files without a module");
});

const linesOf = ({ text }: ProductFile) => text.split("\n").length - 1;
const sum = (files: readonly ProductFile[]) => files.reduce((sum, it) => sum + linesOf(it), 0);

Deno.test("the product and its tests stay small, and so do most files", () => {
  assert.deepEqual(pathsOf((it) => linesOf(it) > 500), []);
  assert.ok(pathsOf((it) => linesOf(it) < 40).length <= 12);
  const [files, lines, others] = [product.length, sum(product), sum(all) - sum(product)];
  assert.ok(files <= 106 && lines <= 17_000 && others <= 42_000, `${[files, lines, others]}`);
});

Deno.test("identifiers and texts use the words of the field", () => {
  const names = /\w*(?:Stock|Diary|Bell|Crowd|Patient|Prospect|Surroundings)\w*/g;
  const beat = /\w*(?<!heart|Heart)[Bb]eat(?!s_total|_\w+_seconds)\w*/g;
  const found = product.flatMap(({ path, text, code }) => {
    const identifiers = code.replaceAll(/"[^"\n]*"|`[^`]*`/g, '""');
    const words = [names, beat].flatMap((it) => identifiers.match(it) ?? []);
    return [...words, ...text.match(/\bbeat(?:s|ing)?\b/gi) ?? []].map((it) => `${path}: ${it}`);
  });
  assert.deepEqual(found, []);
});

Deno.test("a default stands in one product file", () => {
  for (const value of ["8770", "/etc/decnet", "debian:bookworm-slim", "/var/lib/decnet-agent"]) {
    const files = pathsOf(({ code }) => code.includes(value));
    assert.ok(files.length <= 1, `${value}: ${files}`);
  }
});

// A side effect would happen only where the callback is set. Parentheses may be nested once.
const sideEffect = /\?\.(?:#?\w+)?\((?:[^;()]|\([^()]*\))*?(?:\+\+|--| = |\bawait\b)/;
// The bundler's minifier loses using, so that nothing would be closed.
const using = /^\s*(?:await )?using\s/m;

Deno.test("no product file has using, or a side effect behind ?.", () => {
  assert.deepEqual(pathsOf(({ code }) => sideEffect.test(code) || using.test(code)), []);
});
