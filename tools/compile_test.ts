import assert from "node:assert/strict";
import { checkDenoVersion } from "./compile.ts";

Deno.test("checkDenoVersion() rejects a Deno before 2.7.14, even if it is pinned", () => {
  for (const version of ["1.46.3", "2.6.8", "2.7.13", "2.7.13-rc.1"]) {
    assert.throws(() => checkDenoVersion(version, version), /before 2\.7\.14 the API lets in/);
  }
  for (const version of ["2.7.14", "2.8.0", "2.10.1", "3.0.0"]) checkDenoVersion(version, version);
});

Deno.test("checkDenoVersion() rejects a Deno that is not pinned", () => {
  assert.throws(
    () => checkDenoVersion("2.9.6", "2.9.4"),
    /^Error: Cannot compile with Deno 2\.9\.6: \.tool-versions pins 2\.9\.4; run npx /,
  );
});
