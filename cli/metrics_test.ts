import assert from "node:assert/strict";
import type { LogStatus } from "../logs/status.ts";
import type { Heartbeat } from "../agent/heartbeat.ts";
import type { HostSnapshot } from "../agent/snapshot.ts";
import type { Log } from "../host/log.ts";
import { AgentSetup } from "../tests/support/agent_setup.ts";
import { flagsOf, runOn } from "../tests/support/command_line.ts";
import { TemporaryFolder } from "../tests/support/environment.ts";
import {
  applied,
  consistent,
  dockerDown,
  heartbeatWith,
  sendResults,
  storeUnreadable,
} from "../tests/support/heartbeat.ts";
import { promtool } from "../tests/support/requirements.ts";
import { type LoopHistory, MetricsFile, metricsText } from "./metrics.ts";
import type { ExitCode } from "./report.ts";

const loop: LoopHistory = {
  startedAt: 1_700_000_000_500,
  lastSuccessAt: 1_700_000_030_000,
  heartbeats: new Map([["delivered", 7], ["unreachable", 2]]),
  isListening: false,
};
const drifted = {
  ...consistent,
  state: "drifted",
  missing: [{ type: "container", name: "c", detail: "" }],
} as const;
const nasty = 'a"b\\c\nd\u2028e\x00{é😀}\ud800';

/** Returns the samples, without help and type. */
function samplesOf(
  heartbeat: Heartbeat,
  more: Partial<Parameters<typeof metricsText>[1]> = {},
): string[] {
  return metricsText(heartbeat, { code: 0, ...more }).split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.replace(/^decnet_agent_/, ""));
}

const always = [
  `build_info{version="1.2.3",deno="${Deno.version.deno}"} 1`,
  "last_beat_attempt_timestamp_seconds 1795342272.345",
];

Deno.test("metricsText() writes what a check has found, without a past", () => {
  assert.deepEqual(
    samplesOf(heartbeatWith()).sort(),
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

Deno.test("metricsText() counts heartbeats, and has the time of the last success", () => {
  const heartbeat = heartbeatWith({ result: sendResults.unreachable });
  const samples = samplesOf(heartbeat, { loop, code: 2 });
  for (
    const sample of [
      'beats_total{result="delivered"} 7',
      'beats_total{result="unreachable"} 2',
      "start_time_seconds 1700000000.5",
      "last_beat_success_timestamp_seconds 1700000030",
      "api_listening 0",
      "status_code 2",
    ]
  ) assert.ok(samples.includes(sample), `${sample} is not in ${samples.join("\n")}`);
  const off = samplesOf(heartbeat, { loop: { ...loop, isListening: null } });
  assert.ok(!off.some((sample) => sample.startsWith("api_listening")));
  assert.ok(samplesOf(heartbeat).includes("last_beat_success_timestamp_seconds 0"));
});

Deno.test("metricsText() counts the log lines that are forwarded", () => {
  const counts = { sent: 7, heldBack: 2, cut: 1, gaps: 3, followed: 4 };
  const logs: LogStatus = { at: Date.now(), ...counts, behindSince: null, problem: null };
  const samples = (more: Partial<LogStatus>) =>
    samplesOf(heartbeatWith(), { logs: { ...logs, ...more } })
      .filter((sample) => sample.startsWith("log_"));
  assert.deepEqual(samples({}), [
    "log_lines_sent_total 7",
    "log_lines_held_back_total 2",
    "log_lines_cut_total 1",
    "log_gaps_total 3",
    "log_containers 4",
    "log_behind_seconds 0",
  ]);
  assert.match(samples({ behindSince: Date.now() - 60_000 }).at(-1)!, /^log_behind_seconds 60/);
  assert.deepEqual(samplesOf(heartbeatWith()).filter((it) => it.startsWith("log_")), []);
});

Deno.test("metricsText() leaves out what is not known or does not apply", () => {
  const names = (heartbeat: Heartbeat) =>
    new Set(samplesOf(heartbeat).map((sample) => sample.replace(/[ {].*/, "")));
  const all = names(heartbeatWith());
  const idle = { store: { kind: "idle" } } as const;
  const neverApplied = { store: { kind: "ok", applied: { ...applied, appliedAt: 0 } } } as const;
  const engine = ["engine_latency_seconds", "engine_info", "networks", "containers"];
  const [appliedAt, error] = ["topology_applied_timestamp_seconds", "topology_error"];
  const [success, latency] = ["last_beat_success_timestamp_seconds", "master_latency_seconds"];
  const withoutMaster = { result: sendResults.notConfigured, certificates: null };
  const cases: [changes: Parameters<typeof heartbeatWith>[0], absent: string[]][] = [
    [{ snapshot: dockerDown }, [...engine, "drift_objects"]],
    [{ snapshot: storeUnreadable }, ["drift_objects", error, appliedAt]],
    [{ snapshot: idle }, [appliedAt]],
    [{ snapshot: neverApplied }, [appliedAt]],
    [withoutMaster, [success, latency, "certificate_expiry_timestamp_seconds"]],
    [{ result: sendResults.dryRun }, [success, latency]],
    [{ result: sendResults.notSent }, [latency]],
  ];
  for (const [changes, absent] of cases) {
    const found = all.difference(names(heartbeatWith(changes)));
    assert.deepEqual([...found].sort(), absent.sort());
  }
});

Deno.test("metricsText() writes the states of engine, store, topology and drift", () => {
  const failed = { kind: "ok", applied: { ...applied, lastError: "boom" } } as const;
  const cases: [snapshot: Partial<HostSnapshot>, sample: string][] = [
    [dockerDown, "engine_up 0"],
    [storeUnreadable, 'store_state{state="unreadable"} 1'],
    [{ store: failed }, "topology_error 1"],
    [{ drift: drifted }, 'drift_objects{kind="missing"} 1'],
  ];
  for (const [snapshot, sample] of cases) {
    assert.ok(samplesOf(heartbeatWith({ snapshot })).includes(sample), sample);
  }
});

Deno.test("metricsText() escapes text from outside", () => {
  const engine = { version: nasty, apiVersion: null, latencyMs: 1 };
  const text = metricsText(heartbeatWith({ snapshot: { engine } }), { code: 0 });
  assert.ok(
    text.includes('engine_info{version="a\\"b\\\\c d e {é😀}\ufffd",api_version=""} 1\n'),
    text,
  );
});

promtool.test("promtool accepts the metrics of any heartbeat", async () => {
  const engine = { version: nasty, apiVersion: nasty, latencyMs: 1e-7 };
  const heartbeats = [
    heartbeatWith({ snapshot: { engine } }),
    heartbeatWith({
      snapshot: { ...dockerDown, ...storeUnreadable },
      result: sendResults.notSent,
    }),
    heartbeatWith({
      snapshot: { drift: drifted },
      result: sendResults.notConfigured,
      certificates: null,
    }),
  ];
  for (const heartbeat of heartbeats) {
    for (const history of [null, loop]) {
      const text = metricsText(heartbeat, { code: 3, loop: history });
      await promtool.run(["check", "metrics"], text);
    }
  }
});

/** Counts and writes one heartbeat, as the daemon does. */
function report(file: MetricsFile, heartbeat: Heartbeat, code: ExitCode): void {
  file.count(heartbeat);
  file.write(heartbeat, code);
}

const metric = (path: string, name: string) =>
  Deno.readTextFileSync(path).split("\n").find((line) => line.startsWith(`decnet_agent_${name} `))
    ?.split(" ")[1];

function fileAt(path: string, log: Log): MetricsFile {
  const file = new MetricsFile(log);
  file.moveTo(path);
  return file;
}

Deno.test("MetricsFile.count() counts by result, and keeps the last success", () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/a.prom`;
  const file = fileAt(path, () => assert.fail("there is nothing to log"));
  const results = [sendResults.unreachable, sendResults.delivered, sendResults.rejected];
  const success = "last_beat_success_timestamp_seconds";
  for (const [index, result] of [...results, sendResults.unreachable].entries()) {
    report(file, { ...heartbeatWith({ result }), checkedAt: (index + 1) * 1000 }, 2);
    assert.equal(metric(path, success), index === 0 ? "0" : "2");
    assert.equal(metric(path, "last_beat_attempt_timestamp_seconds"), String(index + 1));
  }
  assert.equal(metric(path, 'beats_total{result="unreachable"}'), "2");
  assert.equal(metric(path, 'beats_total{result="delivered"}'), "1");
  assert.equal(metric(path, 'beats_total{result="rejected"}'), "1");
  assert.equal(metric(path, "api_listening"), undefined);
  file.isListening = true;
  report(file, heartbeatWith(), 0);
  assert.equal(metric(path, "api_listening"), "1");
});

Deno.test("MetricsFile.write() logs once that it cannot write, and the end", () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/absent/a.prom`;
  const lines: string[] = [];
  const file = fileAt(path, (level, message) => lines.push(`${level} ${message}`));
  for (let times = 0; times < 3; times++) report(file, heartbeatWith(), 0);
  const problem = `error Cannot write ${path}: its folder does not exist; make it`;
  assert.deepEqual(lines, [problem]);
  Deno.mkdirSync(`${folder.path}/absent`);
  for (let times = 0; times < 3; times++) report(file, heartbeatWith(), 0);
  assert.deepEqual(lines, [problem, "info the metrics are written again"]);
  assert.equal(metric(path, 'beats_total{result="delivered"}'), "6");
});

Deno.test("run() --once --textfile writes the metrics with the exit code", async () => {
  await using setup = await AgentSetup.create();
  setup.apply();
  const path = `${setup.path}/a.prom`;
  const args = ["--once", ...flagsOf(setup), `--textfile=${path}`];
  assert.equal((await runOn(args)).code, 0);
  assert.equal(metric(path, "status_code"), "0");
  assert.equal(metric(path, 'drift_objects{kind="missing"}'), "0");
  setup.engine.containers = [];
  assert.equal((await runOn([...args, "--quiet"])).code, 1);
  assert.equal(metric(path, "status_code"), "1");
  assert.equal(metric(path, 'drift_objects{kind="missing"}'), "2");
  assert.equal(metric(path, "start_time_seconds"), undefined);
});

Deno.test("run() --once warns when it cannot write the metrics", async () => {
  await using setup = await AgentSetup.create();
  const path = `${setup.path}/folder.prom`;
  await Deno.mkdir(path);
  const args = ["--once", ...flagsOf(setup), `--textfile=${path}`];
  const warning = `Cannot write ${path}: it is a folder; name a file in it`;
  const warned = await runOn(args);
  assert.equal(warned.code, 1);
  assert.ok(warned.stdout.startsWith(`DECNET WARNING - ${warning} | `), warned.stdout);
  const { code, stdout } = await runOn([...args, "--json"]);
  assert.deepEqual([code, JSON.parse(stdout).summary], [1, warning]);
  // A worse finding keeps its exit code.
  setup.engine.fault = { kind: "status", status: 500, message: "boom" };
  const critical = await runOn(args);
  assert.equal(critical.code, 2);
  assert.match(critical.stdout, /^DECNET CRITICAL - .*boom.*; Cannot write /);
});
