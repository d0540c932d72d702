import assert from "node:assert/strict";
import type { Beat } from "../agent/mod.ts";
import {
  applied,
  beatWith,
  consistent,
  deliveries,
  dockerDown,
  storeUnreadable,
} from "../tests/sample_beat.ts";
import { findingsOf } from "./findings.ts";
import { failureText, onceText } from "./once_text.ts";

const textOf = (beat: Beat) => onceText(beat, findingsOf(beat));
const drifted = {
  ...consistent,
  state: "drifted",
  missing: [{ type: "container", name: "c", detail: "" }, {
    type: "network",
    name: "n",
    detail: "",
  }],
  changed: [{ type: "container", name: "d", detail: "address" }],
} as const;

Deno.test("onceText() says in one line how things stand, with the figures behind a bar", () => {
  const cases: [beat: Beat, line: string][] = [
    [
      beatWith(),
      "DECNET OK - topology topology-1 at 0123456789ab, 2 networks and 1 container run, " +
      "beat delivered | networks=2 containers=1 drift=0 docker=0.012s master=0.035s",
    ],
    [
      beatWith({
        stock: { store: { state: "idle" }, observed: { bridges: [], containers: [] } },
        delivery: deliveries.notConfigured,
        certificates: null,
      }),
      "DECNET OK - idle, 0 networks and 0 containers run, no master configured | " +
      "networks=0 containers=0 drift=0 docker=0.012s",
    ],
    [
      beatWith({ delivery: deliveries.dryRun }),
      "DECNET OK - topology topology-1 at 0123456789ab, 2 networks and 1 container run, " +
      "beat not sent (dry run) | networks=2 containers=1 drift=0 docker=0.012s",
    ],
    [
      beatWith({ stock: { drift: drifted } }),
      "DECNET WARNING - missing c, n; changed d (address) | " +
      "networks=2 containers=1 drift=3 docker=0.012s master=0.035s",
    ],
    [
      beatWith({ stock: dockerDown, delivery: deliveries.unreachable }),
      "DECNET CRITICAL - Docker is down; the master is gone | master=0.035s",
    ],
    [
      beatWith({
        stock: { ...dockerDown, ...storeUnreadable },
        delivery: deliveries.notConfigured,
      }),
      "DECNET UNKNOWN - the store is garbage; Docker is down",
    ],
    [
      beatWith({
        delivery: deliveries.notSent,
        certificates: { expiresAt: null, problem: "no worker.crt" },
      }),
      "DECNET UNKNOWN - no worker.crt | networks=2 containers=1 drift=0 docker=0.012s",
    ],
  ];
  for (const [beat, line] of cases) assert.equal(textOf(beat), line);
});

Deno.test("onceText() stays one line with one bar, whatever its strings hold", () => {
  const nasty = "a\nb\r\nc|d | e=1\x1b[31m\x07\x00\x7f\x85\x9b\u2028\u2029😀";
  const store = (lastError: string | null) =>
    ({
      state: "ok",
      applied: { ...applied, topologyId: nasty, versionHash: nasty, lastError },
    }) as const;
  const error = { expiresAt: 1, problem: nasty };
  const missing = [{ type: "network", name: nasty, detail: nasty }] as const;
  const beats = [
    beatWith({ stock: { store: store(null) } }),
    beatWith({ stock: { store: store(nasty) }, certificates: error }),
    beatWith({ stock: { observed: { error: nasty }, engine: null } }),
    beatWith({ stock: { ...storeUnreadable, store: { state: "unreadable", detail: nasty } } }),
    beatWith({ stock: { drift: { ...consistent, state: "drifted", missing } } }),
    beatWith({ delivery: { ...deliveries.rejected, error: nasty } }),
  ];
  for (const line of [...beats.map(textOf), `${failureText(nasty)} | `]) {
    // deno-lint-ignore no-control-regex
    assert.doesNotMatch(line, /[\x00-\x1f\x7f-\x9f\u2028\u2029]/);
    assert.equal(line.split("|").length, 2, line);
    assert.match(line, /^DECNET (OK|WARNING|CRITICAL|UNKNOWN) - .*a b c\/d/);
  }
});

Deno.test("failureText() is of a check that did not come about", () => {
  assert.equal(failureText("no such flag"), "DECNET UNKNOWN - no such flag");
});
