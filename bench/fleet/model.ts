import { firstDelayMs, nextDelayMs, type SendHistory } from "../../agent/schedule.ts";
import { seededRandom } from "../../tests/fuzz/random_document.ts";
import { plot, type Series } from "../plot.ts";
import { memoryMiB, processorMs, readCounts, type RealAgents } from "./real_agents.ts";

/** When a host beats: the delay before its first beat, and from one to the next, in milliseconds. */
interface Schedule {
  readonly first: (intervalMs: number, random: number) => number;
  readonly next: (history: SendHistory, random: number) => number;
}

/** What a host hears of a beat: it is accepted, nothing comes, or it is asked to wait so long. */
type Answer = "accepted" | "no reply" | { readonly retryAfterMs: number };

/** A fleet, and what befalls it. Times in milliseconds from the moment of power. */
interface LoopRun {
  readonly hosts: number;
  readonly intervalMs: number;
  /** The hosts are powered on at random points of this time. */
  readonly powerOnMs: number;
  readonly durationMs: number;
  readonly schedule: Schedule;
  readonly answer: (atMs: number) => Answer;
  readonly seed: number;
}

/** Beats by the second in which they went out. */
interface Heartbeats {
  readonly sent: Uint32Array;
  readonly accepted: Uint32Array;
  /** The first of a host that was accepted after one that was not. */
  readonly returned: Uint32Array;
}

/**
 * Lets a fleet beat in virtual time. A master's answer depends on the time alone and hosts do not know
 * of each other, so each is followed to the end before the next begins. Replies take no time, and
 * there are no beats out of turn.
 */
export function simulate(course: LoopRun): Heartbeats {
  const { hosts, intervalMs, powerOnMs, durationMs, schedule, answer, seed } = course;
  const random = seededRandom(seed);
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
      } else {
        failures++;
      }
      const retryAfterMs = typeof reply === "object" ? reply.retryAfterMs : null;
      atMs += schedule.next({ intervalMs, failures, retryAfterMs }, random());
    }
  }
  return heartbeats;
}

/** From one second to another, the second itself excluded. */
type Span = readonly [from: number, to: number];

/** The most that came in one second. */
export function peak(perSecond: Uint32Array, [from, to]: Span): number {
  return perSecond.subarray(from, to).reduce((most, count) => Math.max(most, count), 0);
}

/** What came in a second on average. */
export function mean(perSecond: Uint32Array, [from, to]: Span): number {
  return perSecond.subarray(from, to).reduce((sum, count) => sum + count, 0) / (to - from);
}

/** How large a fleet is, and where its chance begins. */
interface Fleet {
  readonly hosts: number;
  readonly seed: number;
}

const intervalMs = 30_000;
/** A whole number of intervals that is longer than the longest backoff, in seconds. */
const watchedSeconds = 600;
/** In seconds: when all have been powered on for an interval, and have beaten. */
const afterFirstInterval = 31;
/** In seconds: when the master goes away. */
export const goneAt = afterFirstInterval + watchedSeconds;

/** All hosts are powered on within one second, and the master is there. */
export function powerOn(schedule: Schedule, fleet: Fleet): Heartbeats {
  return run(schedule, fleet, { powerOnMs: 1000, seconds: goneAt, answer: () => "accepted" });
}

/**
 * Powered on likewise, or spread evenly over an interval. Later the master is away for so many
 * seconds; till then it says nothing, or when to come back.
 */
export function outage(
  schedule: Schedule,
  fleet: Fleet,
  { seconds, asks = "nothing", start = "together" }: {
    readonly seconds: number;
    readonly asks?: "nothing" | "a date" | number;
    readonly start?: "together" | "spread";
  },
): Heartbeats {
  const backAt = goneAt + seconds;
  const refusal = (atMs: number): Answer => {
    if (asks === "nothing") return "no reply";
    return { retryAfterMs: asks === "a date" ? backAt * 1000 - atMs : asks * 1000 };
  };
  return run(schedule, fleet, {
    powerOnMs: start === "together" ? 1000 : intervalMs,
    seconds: backAt + watchedSeconds,
    answer: (atMs) => atMs < goneAt * 1000 || atMs >= backAt * 1000 ? "accepted" : refusal(atMs),
  });
}

function run(
  schedule: Schedule,
  fleet: Fleet,
  { powerOnMs, seconds, answer }: {
    readonly powerOnMs: number;
    readonly seconds: number;
    readonly answer: (atMs: number) => Answer;
  },
): Heartbeats {
  return simulate({
    ...fleet,
    schedule,
    intervalMs,
    powerOnMs,
    durationMs: seconds * 1000,
    answer,
  });
}

/** A loop that beats when it starts and then as often as told, come what may. */
function loop(jitter: number): Schedule {
  return {
    first: () => 0,
    next: ({ intervalMs, retryAfterMs }, random) =>
      retryAfterMs ?? intervalMs * (1 - jitter + 2 * jitter * random),
  };
}

/** The agent's own, and two to compare it with. */
export const schedules: ReadonlyMap<string, Schedule> = new Map([
  ["fixed 30 s", loop(0)],
  ["30 s ± 4 %", loop(0.04)],
  ["decnet-agent", { first: firstDelayMs, next: nextDelayMs }],
]);

/** What was seen of a fleet of real agents for some time. */
export interface Measured {
  readonly heartbeats: number;
  /** The most of them that came in one second. */
  readonly busiest: number;
  readonly handshakesPerHeartbeat: number;
  /** At the end. */
  readonly openConnections: number;
  readonly latenciesMs: readonly number[];
  /** Processor time. */
  readonly masterMs: number;
  readonly agentsMs: number;
  /** Of one agent. */
  readonly memoryMiB: number;
  /** The machine's, over the last minute. */
  readonly load: number;
}

/** Watches for so many seconds. */
export async function measure(
  { folder, fleet, masterPid, seconds }: {
    readonly folder: string;
    readonly fleet: RealAgents;
    readonly masterPid: number;
    readonly seconds: number;
  },
): Promise<Measured> {
  const processorOf = (pids: readonly number[]) => {
    return pids.reduce((sum, pid) => sum + processorMs(pid), 0);
  };
  fleet.takeLatencies();
  const before = readCounts(folder);
  const [masterBefore, agentsBefore] = [processorMs(masterPid), processorOf(fleet.pids)];
  // Seconds that the clock has begun, as those are what is counted.
  const from = Math.floor(Date.now() / 1000) + 1;
  await lasting(fleet, seconds);
  const masterMs = processorMs(masterPid) - masterBefore;
  const agentsMs = processorOf(fleet.pids) - agentsBefore;
  const latenciesMs = fleet.takeLatencies();
  // What the master has told may be a second old.
  await lasting(fleet, 2);
  const after = readCounts(folder);
  const perSecond = Array.from({ length: seconds }, (_, n) => after.perSecond[from + n] ?? 0);
  return {
    heartbeats: perSecond.reduce((sum, count) => sum + count, 0),
    busiest: Math.max(...perSecond),
    handshakesPerHeartbeat: (after.connections - before.connections) /
      (after.heartbeats - before.heartbeats),
    openConnections: after.openConnections,
    latenciesMs,
    masterMs,
    agentsMs,
    memoryMiB: percentile(fleet.pids.slice(0, 20).map(memoryMiB).sort((a, b) => a - b), 0.5),
    load: Deno.loadavg()[0]!,
  };
}

/** Reads the agents' metrics for so many seconds; answers whether a condition came true meanwhile. */
export async function lasting(
  fleet: RealAgents,
  seconds: number,
  isEnough = () => false,
): Promise<boolean> {
  const until = performance.now() + seconds * 1000;
  while (performance.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    fleet.look();
    if (isEnough()) return true;
  }
  return false;
}

/** The value that a share of them does not exceed; they must be sorted. */
export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.floor((sorted.length - 1) * share)] ?? NaN;
}

/** Something that befalls a fleet, and what of it is looked at. */
interface Row {
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
    what: keyof Heartbeats,
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

function lines(
  { hosts, span, unitSeconds }: View,
  of: (schedule: Schedule) => Heartbeats,
): Series[] {
  return [...schedules].map(([name, schedule]) => ({
    name,
    // Its last second may be one of those in which it is silent.
    ...(name.startsWith("fixed") && { labelAt: hosts }),
    points: [...of(schedule).accepted.subarray(...span)].map((count, second) => {
      return [second / unitSeconds, count];
    }),
  }));
}
