import assert from "node:assert/strict";
import { goneAt, outage, peak, powerOn, recovery, schedules, simulate } from "./fleet.ts";

Deno.test("simulate() counts by second, and gives the schedule what happened", () => {
  const histories: unknown[] = [];
  const schedule = {
    first: () => 500,
    next: ({ failures, retryAfterMs }: { failures: number; retryAfterMs: number | null }) => {
      histories.push([failures, retryAfterMs]);
      return 1000;
    },
  };
  const { sent, accepted, returned } = simulate({ hosts: 1, seed: 1, schedule }, 0, 6000, (ms) => {
    return ms < 2000 || ms > 4000 ? "accepted" : ms < 3000 ? null : { retryAfterMs: 7 };
  });
  assert.deepEqual([...sent], [1, 1, 1, 1, 1, 1]);
  assert.deepEqual([...accepted], [1, 1, 0, 0, 1, 1]);
  assert.deepEqual([...returned], [0, 0, 0, 0, 1, 0]);
  assert.deepEqual(histories, [[0, null], [0, null], [1, null], [2, 7], [0, null], [0, null]]);
});

Deno.test("a fleet of agents stays within 1.5 of its average second", () => {
  const fleet = { hosts: 10_000, seed: 1, schedule: schedules["decnet-agent"] };
  const most = 1.5 * fleet.hosts / 30;
  assert.ok(peak(powerOn(fleet).accepted, [31, goneAt]) <= most);
  for (const asks of ["nothing", "a date", 30] as const) {
    const { accepted, returned } = outage(fleet, { seconds: 600, asks });
    assert.ok(peak(accepted, recovery(600)) <= most, `the master asks ${asks}`);
    assert.equal(returned.reduce((sum, count) => sum + count, 0), fleet.hosts);
  }
});
