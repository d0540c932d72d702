import assert from "node:assert/strict";
import {
  drawRecovery,
  drawStart,
  goneAt,
  mean,
  outage,
  outageSeconds,
  peak,
  powerOn,
  recovery,
  schedules,
  simulate,
} from "./model.ts";

const everySecond = { first: () => 500, next: () => 1000 };
const agent = schedules.get("decnet-agent")!;
const fixed = schedules.get("fixed 30 s")!;

Deno.test("simulate() counts beats by the second, and tells sent, accepted and returned apart", () => {
  const { sent, accepted, returned } = simulate({
    ...{ hosts: 3, seed: 1, intervalMs: 1000, powerOnMs: 0, durationMs: 6000 },
    schedule: everySecond,
    answer: (atMs) => atMs > 2000 && atMs < 4000 ? "no reply" : "accepted",
  });
  assert.deepEqual([...sent], [3, 3, 3, 3, 3, 3]);
  assert.deepEqual([...accepted], [3, 3, 0, 0, 3, 3]);
  assert.deepEqual([...returned], [0, 0, 0, 0, 3, 0]);
  assert.deepEqual([peak(accepted, [2, 6]), mean(accepted, [2, 6])], [3, 1.5]);
});

Deno.test("simulate() tells the schedule of failures and of what the master asked", () => {
  const histories: unknown[] = [];
  simulate({
    ...{ hosts: 1, seed: 1, intervalMs: 1000, powerOnMs: 0, durationMs: 4000 },
    schedule: { ...everySecond, next: (history) => (histories.push(history), 1000) },
    answer: (atMs) => atMs < 2000 ? "no reply" : atMs < 3000 ? { retryAfterMs: 7 } : "accepted",
  });
  const told = (failures: number, retryAfterMs: number | null = null) => {
    return { intervalMs: 1000, failures, retryAfterMs };
  };
  assert.deepEqual(histories, [told(1), told(2), told(3, 7), told(0)]);
});

Deno.test("simulate() gives the same beats for the same seed, and others for another", () => {
  const [one, same, other] = [1, 1, 2].map((seed) => powerOn(agent, { hosts: 50, seed }).sent);
  assert.deepEqual(one, same);
  assert.notDeepEqual(one, other);
});

Deno.test("a fleet with a fixed interval beats in one second of thirty, before and after an outage", () => {
  const fleet = { hosts: 100, seed: 1 };
  const { sent } = powerOn(fixed, fleet);
  assert.deepEqual([sent[0], peak(sent, [1, 30]), sent[30], sent[600]], [100, 0, 100, 100]);
  const { accepted, returned } = outage(fixed, fleet, { seconds: outageSeconds });
  assert.equal(peak(accepted, [goneAt, goneAt + outageSeconds]), 0);
  assert.equal(peak(returned, recovery(outageSeconds)), 100);
});

Deno.test("a fleet of agents stays within 1.5 of its average second, at the start and after an outage", () => {
  const fleet = { hosts: 10_000, seed: 1 };
  const most = 1.5 * fleet.hosts / 30;
  assert.ok(peak(powerOn(agent, fleet).accepted, [31, goneAt]) <= most);
  for (const asks of ["nothing", "a date", 30] as const) {
    const { accepted, returned } = outage(agent, fleet, { seconds: outageSeconds, asks });
    assert.ok(peak(accepted, recovery(outageSeconds)) <= most, `the master asks ${asks}`);
    assert.equal(returned.reduce((sum, count) => sum + count, 0), fleet.hosts);
  }
});

const fleet = { hosts: 10_000, seed: 1 };

for (const [name, draw] of [["start", drawStart], ["recovery", drawRecovery]] as const) {
  Deno.test(`docs/pictures/fleet-${name}.svg shows the agent's schedule as it is`, () => {
    const file = new URL(`../../docs/pictures/fleet-${name}.svg`, import.meta.url);
    assert.ok(Deno.readTextFileSync(file) === draw(fleet), "run deno task bench:fleet");
  });
}
