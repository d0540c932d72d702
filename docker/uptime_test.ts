import assert from "node:assert/strict";
import { readUptime } from "./uptime.ts";

const hour = 3600;
const day = 24 * hour;
const known: [status: string, atLeast: number, atMost: number][] = [
  ["Up Less than a second", 0, 1],
  ["Up 1 second", 1, 2],
  ["Up 59 seconds", 59, 60],
  ["Up About a minute", 60, 120],
  ["Up 59 minutes", 59 * 60, hour],
  ["Up 2 minutes (unhealthy)", 120, 180],
  ["Up 2 minutes (Paused)", 120, 180],
  ["Up About an hour", 0, 3 * hour],
  ["Up 47 hours", 46 * hour, 49 * hour],
  ["Up 3 days (health: starting)", 3 * day - hour, 4 * day + hour],
  ["Up 2 weeks", 14 * day - hour, 21 * day + hour],
  ["Up 2 months", 60 * day - hour, 90 * day + hour],
  ["Up 2 years", 730 * day - hour, 1095 * day + hour],
];

for (const [status, atLeast, atMost] of known) {
  Deno.test(`readUptime() reads ${status}`, () => {
    assert.deepEqual(readUptime(status), { atLeast, atMost });
  });
}

const unknown = ["", "Created", "Exited (0) 3 minutes ago", "Restarting (1) 5 seconds ago", "Dead"]
  .concat("Up", "Up ", "Up 3", "Up 3 fortnights", "Up 3 minutes more", "up 3 minutes");

for (const status of unknown) {
  Deno.test(`readUptime() makes nothing of '${status}'`, () => {
    assert.equal(readUptime(status), null);
  });
}
