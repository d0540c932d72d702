import { afterFirstInterval, type Fleet, goneAt, outage, powerOn } from "./courses.ts";
import { watchedSeconds } from "./courses.ts";
import type { Beats, Schedule, Span } from "./simulation.ts";

/** Something that befalls a fleet, and what of it is looked at. */
export interface Row {
  readonly name: string;
  readonly of: (schedule: Schedule) => readonly [perSecond: Uint32Array, span: Span];
  /** Told for the record: the bound is not for it. */
  readonly isFree?: boolean;
}

/** The outage that the bound is for. */
export const outageSeconds = 600;
/** What follows an outage. */
export const recovery = (seconds: number): Span => [
  goneAt + seconds,
  goneAt + seconds + watchedSeconds,
];

/** All that is told of a fleet. */
export function rowsOf(fleet: Fleet): Row[] {
  const seconds = outageSeconds;
  const vain = (name: string, span: Span, isFree: boolean): Row => ({
    name: `… 10 min: beats in vain, ${name}`,
    of: (schedule) => [outage(schedule, fleet, { seconds }).sent, span],
    isFree,
  });
  const back = (
    name: string,
    what: keyof Beats,
    options: Parameters<typeof outage>[2],
    isFree = false,
  ): Row => ({
    name,
    of: (schedule) => [outage(schedule, fleet, options)[what], recovery(options.seconds)],
    isFree,
  });
  const start = (name: string, span: Span, isFree: boolean): Row => ({
    name: `powered on together: ${name}`,
    of: (schedule) => [powerOn(schedule, fleet).accepted, span],
    isFree,
  });
  return [
    start("the first interval", [0, afterFirstInterval], true),
    start("after it", [afterFirstInterval, goneAt], false),
    // So early the backoff is still shorter than the interval.
    back("the master was away for 30 s", "accepted", { seconds: 30 }, true),
    back("… 1 min", "accepted", { seconds: 60 }),
    back("… 10 min", "accepted", { seconds }),
    back("… 1 h", "accepted", { seconds: 3600 }),
    vain("the first minute", [goneAt, goneAt + 60], true),
    vain("the other nine", [goneAt + 60, goneAt + seconds], false),
    back("… 10 min: hosts that come back", "returned", { seconds }),
    back("… 10 min, of which it told the end as a date", "accepted", { seconds, asks: "a date" }),
    back("… 10 min, asking each for 30 s", "accepted", { seconds, asks: 30 }),
    back("… 10 min, a fleet powered on over 30 s", "accepted", { seconds, start: "spread" }),
  ];
}
