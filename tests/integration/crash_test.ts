import assert from "node:assert/strict";
import { crashApplies, crashStores } from "../support/crashes.ts";

Deno.test("Applier leaves what an apply or a teardown mends, whenever its process is killed", async () => {
  const { kills, completed, atWork } = await crashApplies({ kills: 25, seed: 1 });
  assert.equal(kills, 25);
  // Where it was never hit at work, or never got anywhere, it would have proved nothing.
  assert.ok(completed > 5, `only ${completed} completed`);
  assert.ok(atWork > 10, `only ${atWork} of ${kills} at work`);
});

Deno.test("TopologyStore holds what was written, whenever its process is killed", async () => {
  const { kills, changes, undone, done, between } = await crashStores({ kills: 100, seed: 1 });
  assert.ok(kills >= 100);
  assert.ok(changes > kills, `only ${changes} changes`);
  // Where it never hit a change, it would have proved nothing.
  assert.ok(undone + done > 20, `only ${undone + done} of ${kills} within a change`);
  assert.equal(undone + done + between, kills);
});
