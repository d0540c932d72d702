import assert from "node:assert/strict";
import { createLog } from "../host/log.ts";
import {
  applied,
  consistent,
  dockerDown,
  heartbeatWith,
  sendResults,
  storeUnreadable,
} from "../tests/support/heartbeat.ts";
import { ChangeLog } from "./change_log.ts";
import type { Heartbeat } from "./heartbeat.ts";
import type { HostSnapshot, KnownDrift } from "./snapshot.ts";

/** Returns what is logged for each heartbeat. */
function linesOf(...heartbeats: Heartbeat[]): string[][] {
  let lines: string[] = [];
  const changeLog = new ChangeLog(createLog((line) => lines.push(line.trimEnd())));
  return heartbeats.map((heartbeat) => {
    lines = [];
    changeLog.record(heartbeat);
    changeLog.recordSend(heartbeat.result);
    return lines;
  });
}

const good = heartbeatWith();
const drifted = (name: string): KnownDrift => ({
  ...consistent,
  state: "drifted",
  missing: [{ type: "network", name, detail: "" }],
});
const failed: HostSnapshot["store"] = { kind: "ok", applied: { ...applied, lastError: "boom" } };

Deno.test("ChangeLog.record() logs nothing while all is well", () => {
  const idle = heartbeatWith({ snapshot: { store: { kind: "idle" } } });
  const withoutMaster = heartbeatWith({ result: sendResults.notConfigured, certificates: null });
  assert.deepEqual(linesOf(good, good, idle, good, withoutMaster).flat(), []);
});

Deno.test("ChangeLog.record() logs a problem once, its changes and its end", () => {
  const docker = (error: string) =>
    heartbeatWith({ snapshot: { ...dockerDown, observed: { kind: "failed", error } } });
  assert.deepEqual(linesOf(docker("a b"), docker("a b"), docker("c"), good, good, docker("c")), [
    ['level=error msg="a b" subject=docker'],
    [],
    ["level=error msg=c subject=docker"],
    ['level=info msg="Docker answers again"'],
    [],
    ["level=error msg=c subject=docker"],
  ]);
});

Deno.test("ChangeLog.record() logs each subject separately", () => {
  const bad = heartbeatWith({
    snapshot: {
      store: { kind: "ok", applied: { ...applied, lastError: "boom" }, detail: "moved" },
      drift: drifted("n"),
    },
    certificates: { expiresAt: 1, problem: "expires" },
  });
  const [first, second, third] = linesOf(bad, bad, good);
  assert.deepEqual(first, [
    "level=warn msg=moved subject=store",
    "level=warn msg=expires subject=certificates",
    "level=warn msg=boom subject=topology",
    'level=warn msg="missing n" subject=drift',
  ]);
  assert.deepEqual(second, []);
  assert.equal(third?.length, 4);
  assert.ok(third?.every((line) => line.startsWith("level=info ")));
});

Deno.test("ChangeLog.record() keeps error and drift while Docker or store fails", () => {
  const bad = heartbeatWith({ snapshot: { store: failed, drift: drifted("n") } });
  const silent = heartbeatWith({ snapshot: { ...dockerDown, store: failed } });
  const unreadable = heartbeatWith({ snapshot: storeUnreadable });
  const [, ...lines] = linesOf(bad, silent, bad, unreadable, bad);
  assert.deepEqual(lines, [
    ['level=error msg="Docker is down" subject=docker'],
    ['level=info msg="Docker answers again"'],
    ['level=error msg="the store is garbage" subject=store'],
    ['level=info msg="the store is in order again"'],
  ]);
});

Deno.test("ChangeLog.recordSend() logs failures 1, 2, 4, 8 … and the return", () => {
  const { rejected, unreachable } = sendResults;
  const failing = Array.from(
    { length: 20 },
    (_, index) => heartbeatWith({ result: index % 2 === 0 ? rejected : unreachable }),
  );
  const lines = linesOf(...failing, good, good, failing[0]!);
  const written = lines.flatMap((list, index) => list.length > 0 ? [index + 1] : []);
  assert.deepEqual(written, [1, 2, 4, 8, 16, 21, 23]);
  assert.deepEqual(lines[0], ['level=error msg="the master said no" subject=master failures=1']);
  assert.deepEqual(lines[15], ['level=error msg="the master is gone" subject=master failures=16']);
  assert.deepEqual(lines[20], ['level=info msg="the master accepts heartbeats again" failures=20']);
  assert.deepEqual(lines[22], ['level=error msg="the master said no" subject=master failures=1']);
});

Deno.test("ChangeLog.recordSend() does not count missing certificates", () => {
  const certificates = { expiresAt: null, problem: "no worker.crt" };
  const heartbeat = heartbeatWith({ result: sendResults.notSent, certificates });
  assert.deepEqual(linesOf(heartbeat, heartbeat, good), [
    ['level=error msg="no worker.crt" subject=certificates'],
    [],
    ['level=info msg="the certificates are in order again"'],
  ]);
});

Deno.test("ChangeLog.record() knows a problem again whose text has the time", () => {
  const at = (time: string, problemId: string) =>
    heartbeatWith({
      certificates: { expiresAt: 1, problem: `${problemId} at ${time}`, problemId },
    });
  assert.deepEqual(linesOf(at("1:00", "early"), at("1:01", "early"), at("1:02", "late"), good), [
    ['level=warn msg="early at 1:00" subject=certificates'],
    [],
    ['level=warn msg="late at 1:02" subject=certificates'],
    ['level=info msg="the certificates are in order again"'],
  ]);
});

Deno.test("ChangeLog.record() logs no drift while the agent changes the host", () => {
  const lines: string[] = [];
  const changeLog = new ChangeLog(createLog((line) => lines.push(line.trimEnd())));
  changeLog.record(heartbeatWith({ snapshot: { store: failed, drift: drifted("n") } }), true);
  assert.deepEqual(lines, []);
  changeLog.record(heartbeatWith({ snapshot: { drift: drifted("n") } }), false);
  assert.deepEqual(lines, ['level=warn msg="missing n" subject=drift']);
  changeLog.record(good, true);
  assert.equal(lines.length, 1);
  changeLog.record(good);
  assert.equal(lines[1], 'level=info msg="there is no drift any more"');
});

/** A log of drift whose clock goes on by a minute with each record. */
function driftLog() {
  const lines: string[] = [];
  let minutes = 0;
  const log = createLog((line) => lines.push(line.trimEnd()));
  const changeLog = new ChangeLog(log, () => minutes * 60_000);
  /** Records a drift; returns what was logged for it. */
  const record = (drift: KnownDrift, afterMinutes = 1) => {
    minutes += afterMinutes;
    changeLog.record(heartbeatWith({ snapshot: { drift } }));
    return lines.splice(0);
  };
  return record;
}

/** A drift of containers that restart. */
const restarting = (...names: string[]): KnownDrift => ({
  ...consistent,
  state: "drifted",
  unhealthy: names.map((name) => ({ type: "container", name, detail: "restarting" })),
});

Deno.test("ChangeLog.record() logs a crash loop at its crashes 1, 2, 4, 8 …", () => {
  const record = driftLog();
  const written: number[] = [];
  for (let crash = 1; crash <= 1_000; crash++) {
    const [line, ...more] = [...record(restarting("web")), ...record(consistent)];
    if (line === undefined) continue;
    written.push(crash);
    const times = crash > 1 ? ` times=${crash}` : "";
    assert.equal(line, `level=warn msg="unhealthy web (restarting)" subject=drift${times}`);
    assert.deepEqual(more, [`level=info msg="there is no drift any more"${times}`]);
  }
  assert.deepEqual(written, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]);
});

Deno.test("ChangeLog.record() logs other drift during a crash loop", () => {
  const record = driftLog();
  for (let crash = 1; crash <= 6; crash++) {
    record(restarting("web"));
    record(consistent);
  }
  assert.deepEqual(record(restarting("web")), []);
  const both = 'level=warn msg="unhealthy ssh (restarting), web (restarting)" subject=drift';
  assert.deepEqual(record(restarting("ssh", "web")), [both]);
  assert.deepEqual(record(restarting("web")), [
    'level=warn msg="unhealthy web (restarting)" subject=drift',
  ]);
  assert.deepEqual(record(consistent), ['level=info msg="there is no drift any more" times=7']);
});

Deno.test("ChangeLog.record() counts foreign objects with new names together", () => {
  const record = driftLog();
  const foreign = (name: string): KnownDrift => ({
    ...consistent,
    state: "drifted",
    unexpected: [{ type: "container", name, detail: "running" }],
  });
  const lines = Array.from({ length: 500 }, (_, index) => [
    ...record(foreign(`decnet-job-${index}`)),
    ...record(consistent),
  ]).flat();
  // Two for each of the times 1, 2, 4 … 256.
  assert.equal(lines.length, 18, lines.slice(0, 40).join("\n"));
  assert.equal(
    lines.at(-2),
    'level=warn msg="unexpected decnet-job-255 (running)" subject=drift times=256',
  );
});

Deno.test("ChangeLog.record() logs drift that stays for ten minutes", () => {
  const record = driftLog();
  for (let crash = 1; crash <= 2; crash++) {
    record(restarting("web"));
    record(consistent);
  }
  assert.deepEqual(record(restarting("web")), []);
  assert.deepEqual(record(restarting("web"), 9), []);
  const line = 'level=warn msg="unhealthy web (restarting)" subject=drift times=3';
  assert.deepEqual(record(restarting("web"), 1), [line]);
  assert.deepEqual(record(restarting("web"), 60), []);
  assert.deepEqual(record(consistent), ['level=info msg="there is no drift any more" times=3']);
  // After ten minutes without drift the count begins again.
  assert.deepEqual(record(consistent, 10), []);
  const first = 'level=warn msg="unhealthy web (restarting)" subject=drift';
  assert.deepEqual(record(restarting("web")), [first]);
});
