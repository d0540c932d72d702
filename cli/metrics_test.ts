import assert from "node:assert/strict";
import type { Beat } from "../agent/mod.ts";
import { promtool } from "../tests/promtool.ts";
import {
  applied,
  beatWith,
  consistent,
  deliveries,
  dockerDown,
  storeUnreadable,
} from "../tests/sample_beat.ts";
import type { ExitCode } from "./exit.ts";
import { type LoopHistory, metricsText } from "./metrics.ts";

const loop: LoopHistory = {
  startedAt: 1_700_000_000_500,
  lastSuccessAt: 1_700_000_030_000,
  beats: new Map([["delivered", 7], ["rejected", 1], ["unreachable", 2], ["not_configured", 0]]),
  isListening: false,
};
const drifted = {
  ...consistent,
  state: "drifted",
  missing: [{ type: "container", name: "c", detail: "" }],
} as const;
const nasty = 'a"b\\c\nd\u2028e\x00{é😀}\ud800';

/** The samples, without what is said about them. */
function samplesOf(beat: Beat, more: Partial<Parameters<typeof metricsText>[1]> = {}): string[] {
  return metricsText(beat, { code: 0, loop: null, ...more }).split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.replace(/^decnet_agent_/, ""));
}

const always = [
  `build_info{version="1.2.3",deno="${Deno.version.deno}"} 1`,
  "last_beat_attempt_timestamp_seconds 1795342272.345",
];

Deno.test("metricsText() has of a check what it has seen, and no past", () => {
  assert.deepEqual(
    samplesOf(beatWith()).sort(),
    [
      ...always,
      "status_code 0",
      "last_beat_success_timestamp_seconds 1795342272.345",
      "master_latency_seconds 0.034567",
      "certificate_expiry_timestamp_seconds 1893456000",
      "engine_up 1",
      "engine_latency_seconds 0.012345",
      'engine_info{version="20.10.24",api_version="1.41"} 1',
      "networks 2",
      "containers 1",
      'drift_objects{kind="missing"} 0',
      'drift_objects{kind="stopped"} 0',
      'drift_objects{kind="unhealthy"} 0',
      'drift_objects{kind="changed"} 0',
      'drift_objects{kind="unexpected"} 0',
      'store_state{state="ok"} 1',
      'store_state{state="idle"} 0',
      'store_state{state="unreadable"} 0',
      "topology_error 0",
      "topology_applied_timestamp_seconds 1700000000",
    ].sort(),
  );
});

Deno.test("metricsText() counts the beats of a loop, and knows when the last was accepted", () => {
  const beat = beatWith({ delivery: deliveries.unreachable });
  const samples = samplesOf(beat, { loop, code: 2 });
  for (
    const sample of [
      'beats_total{result="delivered"} 7',
      'beats_total{result="rejected"} 1',
      'beats_total{result="unreachable"} 2',
      'beats_total{result="not_configured"} 0',
      "start_time_seconds 1700000000.5",
      "last_beat_success_timestamp_seconds 1700000030",
      "api_listening 0",
      "status_code 2",
    ]
  ) assert.ok(samples.includes(sample), `${sample} is not in ${samples.join("\n")}`);
  const off = samplesOf(beat, { loop: { ...loop, isListening: null } });
  assert.ok(!off.some((sample) => sample.startsWith("api_listening")));
  assert.ok(samplesOf(beat).includes("last_beat_success_timestamp_seconds 0"));
});

Deno.test("metricsText() leaves out what is not known, and what does not apply", () => {
  const names = (beat: Beat) =>
    new Set(samplesOf(beat).map((sample) => sample.replace(/[ {].*/, "")));
  const all = names(beatWith());
  const cases: [beat: Beat, absent: string[]][] = [
    [
      beatWith({ stock: dockerDown }),
      ["engine_latency_seconds", "engine_info", "networks", "containers", "drift_objects"],
    ],
    [
      beatWith({ stock: storeUnreadable }),
      ["drift_objects", "topology_error", "topology_applied_timestamp_seconds"],
    ],
    [beatWith({ stock: { store: { state: "idle" } } }), ["topology_applied_timestamp_seconds"]],
    [
      beatWith({ stock: { store: { state: "ok", applied: { ...applied, appliedAt: 0 } } } }),
      ["topology_applied_timestamp_seconds"],
    ],
    [
      beatWith({ delivery: deliveries.notConfigured, certificates: null }),
      [
        "last_beat_success_timestamp_seconds",
        "master_latency_seconds",
        "certificate_expiry_timestamp_seconds",
      ],
    ],
    [
      beatWith({ delivery: deliveries.dryRun }),
      ["last_beat_success_timestamp_seconds", "master_latency_seconds"],
    ],
    [beatWith({ delivery: deliveries.notSent }), ["master_latency_seconds"]],
  ];
  for (const [beat, absent] of cases) {
    assert.deepEqual([...all.difference(names(beat))].sort(), absent.sort());
  }
  const down = samplesOf(beatWith({ stock: dockerDown }));
  assert.ok(down.includes("engine_up 0"));
  assert.ok(
    samplesOf(beatWith({ stock: storeUnreadable })).includes('store_state{state="unreadable"} 1'),
  );
  const failed = { state: "ok", applied: { ...applied, lastError: "boom" } } as const;
  assert.ok(samplesOf(beatWith({ stock: { store: failed } })).includes("topology_error 1"));
  assert.ok(
    samplesOf(beatWith({ stock: { drift: drifted } })).includes('drift_objects{kind="missing"} 1'),
  );
});

Deno.test("metricsText() lets no text from outside break a line or a label", () => {
  const engine = { version: nasty, apiVersion: null, latencyMs: 1 };
  const text = metricsText(beatWith({ stock: { engine } }), { code: 0, loop: null });
  assert.ok(
    text.includes('engine_info{version="a\\"b\\\\c d e {é😀}\ufffd",api_version=""} 1\n'),
    text,
  );
});

Deno.test({
  name: `promtool finds nothing wrong with the metrics of any beat${promtool.suffix}`,
  ignore: promtool.ignore,
  fn: async () => {
    promtool.check();
    const engine = { version: nasty, apiVersion: nasty, latencyMs: 1e-7 };
    const beats = [
      beatWith(),
      beatWith({ stock: { engine } }),
      beatWith({ stock: { ...dockerDown, ...storeUnreadable }, delivery: deliveries.notSent }),
      beatWith({
        stock: { drift: drifted },
        delivery: deliveries.notConfigured,
        certificates: null,
      }),
    ];
    for (const beat of beats) {
      for (const history of [null, loop]) {
        for (const code of [0, 3] as ExitCode[]) {
          await promtool.run(["check", "metrics"], metricsText(beat, { code, loop: history }));
        }
      }
    }
  },
});
