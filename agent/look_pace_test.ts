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

Deno.test("LookPace looks ever more seldom at hints of any rhythm", () => {
  for (const everyMs of [150, 250, 500, 1_000, 2_000]) {
    const times = looks(new LookPace(), {
      untilMs: 600_000,
      hintAt: (ms) => ms % everyMs === 0,
    });
    assert.ok(times.length < 600, `every ${everyMs} ms: ${times.length} looks in 10 min`);
  }
});

Deno.test("LookPace looks at once again when a look has found something, whatever was before", () => {
  const pace = new LookPace();
  looks(pace, { untilMs: 60_000, hintAt: () => true });
  pace.looked(60_000, true, 1);
  pace.hint(60_000);
  assert.equal(pace.dueAt, 60_100);
});

Deno.test("LookPace spends a quarter of the time on looks at most, however long each takes", () => {
  for (const tookMs of [100, 300, 800]) {
    for (const everyMs of [50, 500, 2_000, 7_000]) {
      const pace = new LookPace();
      let spentMs = 0;
      for (let now = 0; now < 600_000; now++) {
        if (now % everyMs === 0) pace.hint(now);
        if (now < pace.dueAt) continue;
        now += tookMs;
        spentMs += tookMs;
        pace.looked(now, false, tookMs);
      }
      assert.ok(spentMs <= 600_000 / 4, `${tookMs} ms, every ${everyMs} ms: ${spentMs / 6_000} %`);
    }
  }
});

Deno.test("LookPace looks at least twice after a hint, however long a look takes", () => {
  const pace = new LookPace();
  pace.hint(0);
  pace.looked(8_100, false, 8_000);
  assert.equal(pace.dueAt, 8_100 + 3_200);
});
