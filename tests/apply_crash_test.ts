import assert from "node:assert/strict";
import { crashApplies } from "./apply_crashes.ts";

Deno.test("Applier leaves what an apply or a teardown mends, whenever its process is killed", async () => {
  const { kills, completed, atWork } = await crashApplies({ kills: 25, seed: 1 });
  assert.equal(kills, 25);
  // Where it was never hit at work, or never got anywhere, it would have proved nothing.
  assert.ok(completed > 5, `only ${completed} completed`);
  assert.ok(atWork > 10, `only ${atWork} of ${kills} at work`);
});
