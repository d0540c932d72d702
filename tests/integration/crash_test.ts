import assert from "node:assert/strict";
import { crashApplies, crashStores } from "../support/crashes.ts";

Deno.test("C2 Applier leaves a state that the next run fixes, if it is killed", async () => {
  const { kills, completed, atWork } = await crashApplies({ kills: 25, seed: 1 });
  assert.equal(kills, 25);
  // Otherwise it was never killed at work, and the test proves nothing.
  assert.ok(completed > 5, `only ${completed} completed`);
  assert.ok(atWork > 10, `only ${atWork} of ${kills} at work`);
});

Deno.test("C1 TopologyStore holds what was written, whenever it is killed", async () => {
  const { kills, changes, undone, done, between } = await crashStores({ kills: 100, seed: 1 });
  assert.ok(kills >= 100);
  assert.ok(changes > kills, `only ${changes} changes`);
  // Otherwise it was never killed during a change, and the test proves nothing.
  assert.ok(undone + done > 20, `only ${undone + done} of ${kills} within a change`);
  assert.equal(undone + done + between, kills);
});
