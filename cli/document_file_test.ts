import assert from "node:assert/strict";
import { readInput } from "../host/files.ts";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { readDocument } from "./document_file.ts";

Deno.test("readDocument() says why there is no document, and what to do", async () => {
  using folder = new TemporaryFolder();
  const file = (name: string, content: Uint8Array<ArrayBuffer> | string) => {
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    Deno.writeFileSync(`${folder.path}/${name}`, bytes);
    return `${folder.path}/${name}`;
  };
  const cases: [path: string, message: string][] = [
    [`${folder.path}/absent`, "no such file"],
    [folder.path, "it is a folder; give a file in it"],
    [
      file("latin1", new Uint8Array([0x22, 0xe9, 0x22])),
      "it is not UTF-8 text; is it a topology document?",
    ],
    [file("empty", ""), "it is not valid JSON: it ends too early"],
    [file("cut", '{"a":'), "it is not valid JSON: it ends too early"],
    ["/dev/zero", "it is larger than 64 MiB"],
    [file("deep", "[".repeat(999)), "it nests deeper than 256 levels"],
  ];
  for (const [path, message] of cases) {
    await assert.rejects(readDocument(path, { readInput }), {
      message: `Cannot read ${path}: ${message}`,
    });
  }
  const forbidden = { readInput: () => Promise.reject(new Deno.errors.PermissionDenied("x")) };
  await assert.rejects(readDocument("f", forbidden), {
    message: "Cannot read f: permission denied; let this user read it, or pass it on standard " +
      "input (-)",
  });
});
