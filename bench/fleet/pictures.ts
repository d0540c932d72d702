import { plot, type Series } from "../plot.ts";
import { type Fleet, goneAt, outage, powerOn } from "./courses.ts";
import { schedules } from "./schedules.ts";
import type { Beats, Schedule, Span } from "./simulation.ts";

/** Seconds with fewer are not drawn. */
const floor = 10;
const minuteSeconds = 60;

/** The first minutes after all hosts were powered on within one second. */
export function drawStart(fleet: Fleet): string {
  const seconds = 180;
  return plot({
    title: `${fleet.hosts.toLocaleString("en")} hosts are powered on in the same second`,
    description:
      "With a fixed interval all beat in one second of thirty, and with 4 % within a few. " +
      "The agents' beats are spread evenly from the first interval on.",
    x: { label: "seconds since power on", from: 0, to: seconds, step: 30 },
    y: { label: "beats per second", log: true, from: floor, to: fleet.hosts },
    mark: { y: fleet.hosts / 30, name: "average" },
    series: lines(
      { hosts: fleet.hosts, span: [0, seconds + 1], unitSeconds: 1 },
      (schedule) => powerOn(schedule, fleet),
    ),
  });
}

/** The first minutes after the master was away for ten. */
export function drawRecovery(fleet: Fleet): string {
  const seconds = 10 * minuteSeconds;
  const backAt = goneAt + seconds;
  return plot({
    title: "The master is back after 10 minutes",
    description:
      "With a fixed interval all hosts still beat in the same second. With 4 % they come " +
      "in waves. The agents return one after another, within 5 minutes, and never in a wave.",
    x: { label: "minutes since the master's return", from: 0, to: 6, step: 1 },
    y: { label: "beats per second", log: true, from: floor, to: fleet.hosts },
    mark: { y: fleet.hosts / 30, name: "average" },
    series: lines(
      {
        hosts: fleet.hosts,
        span: [backAt, backAt + 6 * minuteSeconds + 1],
        unitSeconds: minuteSeconds,
      },
      (schedule) => outage(schedule, fleet, { seconds }),
    ),
  });
}

/** How a fleet's beats are drawn. */
interface View {
  readonly hosts: number;
  /** From where on, in seconds. */
  readonly span: Span;
  /** The axis is in units of so many seconds. */
  readonly unitSeconds: number;
}

function lines({ hosts, span, unitSeconds }: View, of: (schedule: Schedule) => Beats): Series[] {
  return [...schedules].map(([name, schedule]) => ({
    name,
    // Its last second may be one of those in which it is silent.
    ...(name.startsWith("fixed") && { labelAt: hosts }),
    points: [...of(schedule).accepted.subarray(...span)].map((count, second) => {
      return [second / unitSeconds, count];
    }),
  }));
}
