import assert from "node:assert/strict";

const root = new URL("../", import.meta.url);
/** What is shorter may be anywhere. */
const leastLength = 8;

/** Where a text is put together when it is said. */
const joints = /…|; |: |, held by| within|^\d{3}/;

/** All of the shipped code, texts that are written in several parts joined. */
function shippedCode(): string {
  const rooms = ["agent", "api", "apply", "cli", "docker", "host", "master", "store", "topology"];
  const files = rooms.flatMap((room) => sourcesIn(new URL(`${room}/`, root)));
  return files.map((url) => Deno.readTextFileSync(url)).join("\n")
    .replaceAll(/["`'] \+\s*["`']/g, "").replaceAll(/\s+/g, " ");
}

function sourcesIn(folder: URL): URL[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) => {
    if (isDirectory) return sourcesIn(new URL(`${name}/`, folder));
    return name.endsWith(".ts") && !name.endsWith("_test.ts") ? [new URL(name, folder)] : [];
  });
}

/** The texts of an operator: what is in code in the first cell of each row of a table. */
function textsOf(markdown: string): string[] {
  const cells = markdown.split("\n").filter((line) => line.startsWith("| `"))
    .map((line) => line.split(" | ")[0]!);
  return cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, text]) => text!));
}

Deno.test("docs/troubleshooting.md has the texts that the agent says, to the letter", () => {
  const code = shippedCode();
  const texts = textsOf(Deno.readTextFileSync(new URL("docs/troubleshooting.md", root)));
  assert.ok(texts.length > 70, String(texts.length));
  const parts = texts.flatMap((text) => text.split(joints)).map((part) => part.trim())
    .filter((part) => part.length >= leastLength);
  assert.ok(parts.length > 70, String(parts.length));
  assert.deepEqual(parts.filter((part) => !code.includes(part)), []);
});
