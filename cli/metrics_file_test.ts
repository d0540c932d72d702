import assert from "node:assert/strict";
import type { Log } from "../host/mod.ts";
import { AgentSetup } from "../tests/agent_setup.ts";
import { flagsOf, runOn } from "../tests/command_line.ts";
import { beatWith, deliveries } from "../tests/sample_beat.ts";
import { TemporaryFolder } from "../tests/temporary_folder.ts";
import { MetricsFile } from "./metrics_file.ts";

const metric = (path: string, name: string) =>
  Deno.readTextFileSync(path).split("\n").find((line) => line.startsWith(`decnet_agent_${name} `))
    ?.split(" ")[1];

async function fileAt(path: string, log: Log): Promise<MetricsFile> {
  const file = await MetricsFile.create({ log, startedAt: 7_000 });
  file.moveTo(path);
  return file;
}

Deno.test("MetricsFile.note() counts each beat by its result, and keeps the time of a success", async () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/a.prom`;
  const file = await fileAt(path, () => assert.fail("there is nothing to log"));
  const results = [deliveries.unreachable, deliveries.delivered, deliveries.rejected];
  const success = "last_beat_success_timestamp_seconds";
  for (const [index, delivery] of [...results, deliveries.unreachable].entries()) {
    file.note({ ...beatWith({ delivery }), checkedAt: (index + 1) * 1000 }, 2);
    assert.equal(metric(path, success), index === 0 ? "0" : "2");
    assert.equal(metric(path, "last_beat_attempt_timestamp_seconds"), String(index + 1));
  }
  assert.equal(metric(path, 'beats_total{result="unreachable"}'), "2");
  assert.equal(metric(path, 'beats_total{result="delivered"}'), "1");
  assert.equal(metric(path, 'beats_total{result="rejected"}'), "1");
  assert.equal(metric(path, "api_listening"), undefined);
  file.isListening = true;
  file.note(beatWith(), 0);
  assert.equal(metric(path, "api_listening"), "1");
});

Deno.test("MetricsFile.moveTo() leaves the old file as it is, and goes on counting", async () => {
  using folder = new TemporaryFolder();
  const [a, b] = [`${folder.path}/a.prom`, `${folder.path}/b.prom`];
  const file = await fileAt(a, () => assert.fail("there is nothing to log"));
  const counted = 'beats_total{result="delivered"}';
  file.note(beatWith(), 0);
  file.moveTo(null);
  file.note(beatWith(), 0);
  file.moveTo(b);
  file.note(beatWith(), 0);
  assert.deepEqual([metric(a, counted), metric(b, counted)], ["1", "3"]);
  assert.equal(metric(b, "start_time_seconds"), "7");
});

Deno.test("MetricsFile.note() logs once that it cannot write, and once that it can again", async () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/absent/a.prom`;
  const lines: string[] = [];
  const file = await fileAt(path, (level, message) => lines.push(`${level} ${message}`));
  for (let times = 0; times < 3; times++) file.note(beatWith(), 0);
  const problem = `warn Cannot write ${path}: its folder does not exist; make it`;
  assert.deepEqual(lines, [problem]);
  Deno.mkdirSync(`${folder.path}/absent`);
  for (let times = 0; times < 3; times++) file.note(beatWith(), 0);
  assert.deepEqual(lines, [problem, "info the metrics are written again"]);
  assert.equal(metric(path, 'beats_total{result="delivered"}'), "6");
});

Deno.test("run() --once --textfile leaves the metrics of the check, with its exit code", async () => {
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
  // It is not worse than what is worse.
  setup.engine.fault = { kind: "status", status: 500, message: "boom" };
  const critical = await runOn(args);
  assert.equal(critical.code, 2);
  assert.match(critical.stdout, /^DECNET CRITICAL - .*boom.*; Cannot write /);
});

Deno.test("run() writes the metrics after each beat of the loop, and beats on where it cannot", async () => {
  await using setup = await AgentSetup.create();
  const path = `${setup.path}/a.prom`;
  const run = async (textfile: string, isEnough: () => boolean) => {
    const stop = new AbortController();
    const flags = [...flagsOf(setup), "--interval=5s", `--textfile=${textfile}`];
    const ended = runOn(flags, { stopSignal: () => stop.signal });
    while (!isEnough()) await new Promise((resolve) => setTimeout(resolve, 20));
    stop.abort(new Error("stop"));
    return (await ended).stderr;
  };
  const isWritten = () => {
    try {
      return metric(path, 'beats_total{result="delivered"}') === "1";
    } catch {
      return false;
    }
  };
  assert.doesNotMatch(await run(path, isWritten), /textfile/);
  assert.equal(metric(path, "status_code"), "0");
  const before = setup.master.beatCount;
  const log = await run("/dev/null/a.prom", () => setup.master.beatCount >= before + 2);
  assert.equal(log.match(/subject=textfile/g)?.length, 1, log);
});
