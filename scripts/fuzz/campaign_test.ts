import assert from "node:assert/strict";
import { campaign, type CampaignOptions } from "./campaign.ts";

const broken = {
  name: "broken",
  module: new URL("broken_target.ts", import.meta.url).href,
};
const options: CampaignOptions = {
  seed: 1,
  from: 0,
  to: 9,
  limitMs: 60_000,
  limitRss: 2 ** 40,
  hangMs: 3_000,
  onProgress: () => {},
};

Deno.test("campaign() names each case that throws, ends the process or hangs, and goes on", async () => {
  const { cases, failures, outcomes } = await campaign(broken, options);
  assert.deepEqual(
    failures.map(({ caseNumber, message }) => [caseNumber, message.split("\n")[0]]),
    [
      [1, "RangeError: an invariant does not hold"],
      [2, "the process ended with 7"],
      [3, "it hangs"],
      [4, "it hangs"],
    ],
  );
  assert.equal(cases, 9);
  assert.deepEqual(outcomes, { fine: 2, slow: 1, large: 1 });
});

Deno.test("campaign() names a case that takes too long each time", async () => {
  const { failures } = await campaign(broken, { ...options, from: 5, to: 6, limitMs: 100 });
  assert.match(failures[0]!.message, /^it took \d+ ms, four times$/);
});

Deno.test("campaign() names a case after which the process takes too much memory", async () => {
  const limitRss = 300 * 2 ** 20;
  const { failures, peakRss } = await campaign(broken, { ...options, from: 6, to: 7, limitRss });
  assert.match(failures[0]!.message, /^the process takes \d+ MiB$/);
  assert.ok(peakRss > limitRss);
});
