import assert from "node:assert/strict";
import { crashStores } from "./store_crashes.ts";

Deno.test("TopologyStore holds what was written, whenever its process is killed", async () => {
  const { kills, changes, undone, done, between } = await crashStores({ kills: 100, seed: 1 });
  assert.ok(kills >= 100);
  assert.ok(changes > kills, `only ${changes} changes`);
  // Where it never hit a change, it would have proved nothing.
  assert.ok(undone + done > 20, `only ${undone + done} of ${kills} within a change`);
  assert.equal(undone + done + between, kills);
});
