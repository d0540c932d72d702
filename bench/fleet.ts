// deno-lint-ignore-file no-console
/**
 * Shows what a master gets from 10,000 hosts, in virtual time and with the agent's own schedule:
 * `deno task bench:fleet [HOSTS [SEED]]`. Beside it, a loop with a fixed interval and one that varies
 * it by 4 %. Exits with 1 when the agent exceeds its bound, which is meant for some thousand hosts:
 * with fewer, chance has a larger part.
 */

import { nextDelayMs, type SendHistory } from "../agent/schedule.ts";
import { SeededRandom } from "../tests/support/random.ts";
import { figure, printFigures, printTable } from "./harness.ts";

/** The delay before a host's first heartbeat, and from one to the next, in milliseconds. */
interface Schedule {
  readonly first: (intervalMs: number, random: number) => number;
  readonly next: (history: SendHistory, random: number) => number;
}

/** How the master answers a heartbeat: with null it does not. */
type Answer = "accepted" | null | { readonly retryAfterMs: number };

/** Heartbeats in each second; `returned` are the first accepted ones of hosts that had failed. */
type Heartbeats = Readonly<Record<"sent" | "accepted" | "returned", Uint32Array>>;

/** How large a fleet is, the seed of its random numbers, and when its hosts send. */
type Fleet = Readonly<{ hosts: number; seed: number; schedule: Schedule }>;

/**
 * Lets a fleet send in virtual time; the hosts are powered on at random points of `powerOnMs`. A
 * master's answer depends on the time alone and hosts do not know of each other, so each is followed
 * to the end before the next begins. Replies take no time, and there are no early heartbeats.
 */
export function simulate(
  { hosts, seed, schedule }: Fleet,
  powerOnMs: number,
  durationMs: number,
  answer: (atMs: number) => Answer,
): Heartbeats {
  const random = new SeededRandom(seed).next;
  const perSecond = () => new Uint32Array(Math.ceil(durationMs / 1000));
  const heartbeats = { sent: perSecond(), accepted: perSecond(), returned: perSecond() };
  for (let host = 0; host < hosts; host++) {
    let failures = 0;
    let atMs = powerOnMs * random() + schedule.first(intervalMs, random());
    while (atMs < durationMs) {
      const second = Math.floor(atMs / 1000);
      const reply = answer(atMs);
      heartbeats.sent[second]!++;
      if (reply === "accepted") {
        heartbeats.accepted[second]!++;
        if (failures > 0) heartbeats.returned[second]!++;
        failures = 0;
      } else failures++;
      const retryAfterMs = reply === "accepted" ? null : reply?.retryAfterMs ?? null;
      atMs += schedule.next({ intervalMs, failures, retryAfterMs }, random());
    }
  }
  return heartbeats;
}

/** From one second to another, which is not included. */
type Span = readonly [from: number, to: number];

/** Returns the most that came in one second. */
export function peak(perSecond: Uint32Array, [from, to]: Span): number {
  return perSecond.subarray(from, to).reduce((most, count) => Math.max(most, count), 0);
}

/** Returns what came in a second on average. */
function mean(perSecond: Uint32Array, [from, to]: Span): number {
  return perSecond.subarray(from, to).reduce((sum, count) => sum + count, 0) / (to - from);
}

const intervalMs = 30_000;
/** A whole number of intervals that is longer than the longest backoff, in seconds. */
const watchedSeconds = 600;
/** In seconds: all have been powered on for an interval, and have sent. */
const afterFirstInterval = 31;
/** In seconds: the master goes away. */
export const goneAt = afterFirstInterval + watchedSeconds;

/** Simulates that all hosts are powered on within one second, with a master that accepts. */
export function powerOn(fleet: Fleet): Heartbeats {
  return simulate(fleet, 1000, goneAt * 1000, () => "accepted");
}

/** An outage of the master: what it says meanwhile, and in which time the hosts were powered on. */
interface Outage {
  readonly seconds: number;
  readonly asks?: "nothing" | "a date" | number;
  readonly powerOnMs?: number;
}

/** Simulates the power on and, later, a master that is away for some time. */
export function outage(fleet: Fleet, { seconds, asks, powerOnMs = 1000 }: Outage): Heartbeats {
  const backAtMs = (goneAt + seconds) * 1000;
  return simulate(fleet, powerOnMs, backAtMs + watchedSeconds * 1000, (atMs) => {
    if (atMs < goneAt * 1000 || atMs >= backAtMs) return "accepted";
    if (asks === undefined || asks === "nothing") return null;
    return { retryAfterMs: asks === "a date" ? backAtMs - atMs : asks * 1000 };
  });
}

/** Returns the schedule of a loop that sends when it starts and then after each interval. */
function loop(jitter: number): Schedule {
  return {
    first: () => 0,
    next: ({ intervalMs, retryAfterMs }, random) =>
      retryAfterMs ?? intervalMs * (1 - jitter + 2 * jitter * random),
  };
}

/** The agent's schedule, and two to compare it with. */
export const schedules = {
  "fixed 30 s": loop(0),
  "30 s ± 4 %": loop(0.04),
  "decnet-agent": {
    first: (intervalMs: number, random: number) => intervalMs * random,
    next: nextDelayMs,
  },
};

/** Returns the time that follows an outage. */
export function recovery(seconds: number): Span {
  return [goneAt + seconds, goneAt + seconds + watchedSeconds];
}

/** Which heartbeats are counted, after power on (null) or around an outage; FREE has no bound. */
type Scenario = readonly [string, keyof Heartbeats, Outage | null, Span, "free"?];

const after = (name: string, outage: Outage): Scenario => {
  return [name, "accepted", outage, recovery(outage.seconds)];
};
/** The outage that the bound is for. */
const long = { seconds: 600 };
const scenarios: readonly Scenario[] = [
  ["powered on together: first interval", "accepted", null, [0, afterFirstInterval], "free"],
  ["powered on together: after it", "accepted", null, [afterFirstInterval, goneAt]],
  // So early the backoff is still shorter than the interval.
  ["the master was away for 30 s", "accepted", { seconds: 30 }, recovery(30), "free"],
  after("… 1 min", { seconds: 60 }),
  after("… 10 min", long),
  after("… 1 h", { seconds: 3600 }),
  ["… 10 min: heartbeats in vain, the first minute", "sent", long, [goneAt, goneAt + 60], "free"],
  ["… 10 min: heartbeats in vain, the other nine", "sent", long, [goneAt + 60, goneAt + 600]],
  ["… 10 min: hosts that come back", "returned", long, recovery(long.seconds)],
  after("… 10 min, of which it told the end as a date", { ...long, asks: "a date" }),
  after("… 10 min, asking each for 30 s", { ...long, asks: 30 }),
  after("… 10 min, a fleet powered on over 30 s", { ...long, powerOnMs: intervalMs }),
];

function main([hosts = "10000", seed = "1"]: readonly string[]): number {
  const fleets = Object.entries(schedules).map(([name, schedule]) => {
    return { name, hosts: Number(hosts), seed: Number(seed), schedule };
  });
  const rows = scenarios.map(([name, counted, away, span, isFree]) => {
    const ratios = fleets.map((fleet) => {
      const heartbeats = away ? outage(fleet, away) : powerOn(fleet);
      return peak(heartbeats[counted], span) / (fleet.hosts / 30);
    });
    return { name, isFree, ratios };
  });
  printTable(
    ["the busiest second, as a multiple of hosts ÷ 30", ...fleets.map(({ name }) => name)],
    rows.map(({ name, ratios }) => [name, ...ratios.map((it) => it.toFixed(2))]),
  );
  console.log("The 10 min after the master was away for 10 min:");
  for (const fleet of fleets) {
    const { accepted, returned } = outage(fleet, long);
    const span = recovery(long.seconds);
    const ratio = (peak(accepted, span) / mean(accepted, span)).toFixed(2);
    const lastAfter = returned.findLastIndex((count) => count > 0) + 1 - goneAt - long.seconds;
    console.log(`${fleet.name}: busiest ÷ average ${ratio}, all are back after ${lastAfter} s`);
  }
  const figures = rows.filter(({ isFree }) => !isFree).map(({ name, ratios }) => {
    const what = name.replace("…", "its master away for");
    return figure(`a fleet, ${what}: busiest ÷ mean`, ratios.at(-1)!, "≤ 1.5 ×");
  });
  printFigures(figures);
  return figures.every((it) => it.at(-1) === "yes") ? 0 : 1;
}

if (import.meta.main) Deno.exit(main(Deno.args));
