import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";

import { recoverFromArchive } from "./npm_carrier.ts";

const CARRIER = {
  spec: "carrier@1.0.0",
  integrity: "sha512-other",
  file: "package/program",
};

Deno.test("recoverFromArchive() refuses another archive before unpacking", () => {
  const why = new RegExp(
    "^Error: Cannot recover the runtime base: " +
      "integrity of carrier@1.0.0 is sha512-.{86}==, expected sha512-other$",
  );
  assert.throws(
    () => recoverFromArchive(new TextEncoder().encode("garbage"), CARRIER),
    why,
  );
});

Deno.test("recoverFromArchive() refuses an archive without the program", () => {
  const archive = gzipSync(new Uint8Array(1024));
  const hash = createHash("sha512").update(archive).digest("base64");
  const carrier = { ...CARRIER, integrity: `sha512-${hash}` };

  assert.throws(
    () => recoverFromArchive(archive, carrier),
    /Cannot read package\/program from the tar archive: no such file in it/,
  );
});
