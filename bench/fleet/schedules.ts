import { firstDelayMs, nextDelayMs } from "../../agent/schedule.ts";
import type { Schedule } from "./simulation.ts";

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
