import assert from "node:assert/strict";
import { firstDifference } from "../scripts/hash_against_python.ts";
import { python } from "./python.ts";

Deno.test({
  name: `versionHash() agrees with python3 on random documents${python.suffix}`,
  ignore: python.ignore,
  async fn() {
    python.check();
    const seed = crypto.getRandomValues(new Uint32Array(1))[0]!;
    assert.equal(await firstDifference(2_000, seed), null, `with the seed ${seed}`);
  },
});
