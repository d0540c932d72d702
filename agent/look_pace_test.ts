import assert from "node:assert/strict";
import { LookPace } from "./look_pace.ts";

/** The times of looks that each take a millisecond, up to a time; hints come as they are told. */
function looks(
  pace: LookPace,
  { untilMs, hintAt = () => false, isNews = () => false }: {
    readonly untilMs: number;
    readonly hintAt?: (ms: number) => boolean;
    readonly isNews?: (ms: number) => boolean;
  },
): number[] {
  const times: number[] = [];
  for (let now = 0; now < untilMs; now++) {
    if (hintAt(now)) pace.hint(now);
    if (now < pace.dueAt) continue;
    times.push(now);
    pace.looked(now, isNews(now));
  }
  return times;
}

Deno.test("LookPace has nothing to look for without a hint", () => {
  const pace = new LookPace();
  assert.deepEqual([pace.dueAt, pace.isHinted], [Infinity, false]);
});

Deno.test("LookPace looks 100 ms after a hint, and some times more, as lists come late", () => {
  const times = looks(new LookPace(), { untilMs: 60_000, hintAt: (ms) => ms === 0 });
  assert.deepEqual(times, [100, 200, 400, 800, 1_600, 3_200, 6_400]);
});

Deno.test("LookPace looks on after news: of two changes, one list may come later", () => {
  const times = looks(new LookPace(), {
    untilMs: 60_000,
    hintAt: (ms) => ms === 0,
    isNews: (ms) => ms === 100,
  });
  assert.deepEqual(times, [100, 200, 400, 800, 1_600, 3_200, 6_400]);
});

Deno.test("LookPace begins anew with a hint that comes in between", () => {
  const times = looks(new LookPace(), {
    untilMs: 60_000,
    hintAt: (ms) => ms === 0 || ms === 1_700,
  });
  assert.deepEqual(times, [
    ...[100, 200, 400, 800, 1_600],
    ...[1_800, 1_900, 2_100, 2_500, 3_300, 4_900, 8_100],
  ]);
});

Deno.test("LookPace looks ever more seldom while hints go on, down to one look in 5 s, and recovers", () => {
  const pace = new LookPace();
  const flooded = looks(pace, { untilMs: 60_000, hintAt: () => true });
  const gaps = flooded.map((ms, index) => ms - (flooded[index - 1] ?? 0));
  assert.ok(flooded.length <= 25, `${flooded.length} looks`);
  assert.deepEqual(gaps.slice(-5), [5_000, 5_000, 5_000, 5_000, 5_000]);
  for (pace.looked(60_000, false); pace.dueAt < Infinity;) pace.looked(pace.dueAt, false);
  const [first] = [80_000].map((now) => {
    pace.hint(now);
    return pace.dueAt - now;
  });
  assert.equal(first, 100);
});
