import type { Uptime } from "../topology/mod.ts";

const minute = 60;
const hour = 60 * minute;
const day = 24 * hour;

/** The engine's words for a unit, and how many seconds it has. */
const units: ReadonlyMap<string, number> = new Map([
  ["second", 1],
  ["minute", minute],
  ["hour", hour],
  ["day", day],
  ["week", 7 * day],
  ["month", 30 * day],
  ["year", 365 * day],
]);

/**
 * How long a container has been up by its status, such as `Up 2 hours (healthy)`; null when it does
 * not say. The engine cuts units off, but rounds to hours: so an hour more or less is allowed for.
 */
export function readUptime(status: string): Uptime | null {
  const [, words, count, unit] =
    /^Up (Less than a second|About an? (?=minute|hour)|(\d{1,6}) )?(\w+?)?s?(?: \(|$)/.exec(
      status,
    ) ??
      [];
  if (words === undefined) return null;
  if (words.startsWith("Less")) return { atLeast: 0, atMost: 1 };
  const seconds = units.get(unit ?? "");
  if (seconds === undefined) return null;
  const amount = Number(count ?? 1);
  const slack = seconds >= hour ? hour : 0;
  return { atLeast: amount * seconds - slack, atMost: (amount + 1) * seconds + slack };
}
