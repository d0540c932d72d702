import type { BeatHistory } from "../../agent/schedule.ts";
import { seededRandom } from "../../scripts/random_document.ts";

/** When a host beats: the delay before its first beat, and from one to the next, in milliseconds. */
export interface Schedule {
  readonly first: (intervalMs: number, random: number) => number;
  readonly next: (history: BeatHistory, random: number) => number;
}

/** What a host hears of a beat: it is accepted, nothing comes, or it is asked to wait so long. */
export type Answer = "accepted" | "no reply" | { readonly retryAfterMs: number };

/** A fleet, and what befalls it. Times in milliseconds from the moment of power. */
export interface Course {
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
export interface Beats {
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
export function simulate(course: Course): Beats {
  const { hosts, intervalMs, powerOnMs, durationMs, schedule, answer, seed } = course;
  const random = seededRandom(seed);
  const perSecond = () => new Uint32Array(Math.ceil(durationMs / 1000));
  const beats = { sent: perSecond(), accepted: perSecond(), returned: perSecond() };
  for (let host = 0; host < hosts; host++) {
    let failures = 0;
    let atMs = powerOnMs * random() + schedule.first(intervalMs, random());
    while (atMs < durationMs) {
      const second = Math.floor(atMs / 1000);
      const reply = answer(atMs);
      beats.sent[second]!++;
      if (reply === "accepted") {
        beats.accepted[second]!++;
        if (failures > 0) beats.returned[second]!++;
        failures = 0;
      } else {
        failures++;
      }
      const retryAfterMs = typeof reply === "object" ? reply.retryAfterMs : null;
      atMs += schedule.next({ intervalMs, failures, retryAfterMs }, random());
    }
  }
  return beats;
}

/** From one second to another, the second itself excluded. */
export type Span = readonly [from: number, to: number];

/** The most that came in one second. */
export function peak(perSecond: Uint32Array, [from, to]: Span): number {
  return perSecond.subarray(from, to).reduce((most, count) => Math.max(most, count), 0);
}

/** What came in a second on average. */
export function mean(perSecond: Uint32Array, [from, to]: Span): number {
  return perSecond.subarray(from, to).reduce((sum, count) => sum + count, 0) / (to - from);
}
