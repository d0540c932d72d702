import assert from "node:assert/strict";
import { parseRetryAfter } from "./retry_after.ts";

const now = Date.parse("2026-11-22T10:00:00Z");

Deno.test("parseRetryAfter() reads seconds and dates, and answers milliseconds", () => {
  const cases: [value: string | null, expected: number | null][] = [
    [null, null],
    ["0", 0],
    ["7", 7_000],
    ["120", 120_000],
    ["9".repeat(400), Infinity],
    ["Sun, 22 Nov 2026 10:01:30 GMT", 90_000],
    ["Sun, 22 Nov 2026 11:00:00 +0000", 3_600_000],
    ["Sunday, 22-Nov-26 10:00:05 GMT", 5_000],
    ["Sun, 22 Nov 2026 09:00:00 GMT", 0],
    ["Mon, 01 Jan 1900 00:00:00 GMT", 0],
    ["", null],
    ["-5", null],
    ["+5", null],
    ["1.5", null],
    ["1e3", null],
    ["5 s", null],
    ["0x10", null],
    ["soon", null],
    ["Sun, 99 Nov 2026 10:01:30 GMT", null],
    ["2026-11-22T10:01:30Z", null],
  ];
  for (const [value, expected] of cases) {
    assert.equal(parseRetryAfter(value, now), expected, String(value));
  }
});
