import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { PositionStore } from "../logs/positions.ts";
import type { LogStatus } from "../logs/status.ts";
import { AgentSetup } from "../tests/support/agent_setup.ts";
import { flagsOf, runOn } from "../tests/support/command_line.ts";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { readLogReport, reportOf } from "./log_report.ts";

const now = Date.parse("2026-01-02T03:30:00Z");
const status: LogStatus = {
  at: now - 30_000,
  sent: 1_200,
  heldBack: 3,
  cut: 1,
  gaps: 0,
  followed: 5,
  behindSince: null,
  problem: null,
};
const counts = "1200 sent of 5 containers, 3 held back, 1 cut";
const behindSince = Date.parse("2026-01-02T03:10:00Z");
const problem = "Cannot send log lines: connection refused";

Deno.test("reportOf() tells how far the lines are", () => {
  const cases: [Partial<LogStatus>, text: string, warnings: string[]][] = [
    [{}, `${counts}, none waits (at 2026-01-02T03:29:30.000Z)`, []],
    [
      { behindSince: now - 60_000, gaps: 2 },
      `${counts}, removed by Docker before they were read: 2 times, ` +
      "waiting since 2026-01-02T03:29:00.000Z (at 2026-01-02T03:29:30.000Z)",
      [],
    ],
    [
      { behindSince, problem },
      `${counts}, waiting since 2026-01-02T03:10:00.000Z, ${problem} (at 2026-01-02T03:29:30.000Z)`,
      [`log lines wait since 2026-01-02T03:10:00.000Z: ${problem}`],
    ],
    [
      { at: behindSince },
      `${counts}, none waits (at 2026-01-02T03:10:00.000Z)`,
      [
        "no agent has forwarded log lines since 2026-01-02T03:10:00.000Z; start it, " +
        "or set forward-logs = false",
      ],
    ],
  ];
  for (const [changes, text, warnings] of cases) {
    const report = reportOf({ ...status, ...changes }, now);
    assert.deepEqual([report.text, report.warnings], [text, warnings]);
  }
  assert.deepEqual(reportOf({ ...status, behindSince, problem }, now).json, {
    reported_at: "2026-01-02T03:29:30.000Z",
    containers: 5,
    sent: 1200,
    held_back: 3,
    cut: 1,
    gaps: 0,
    behind_since: "2026-01-02T03:10:00.000Z",
    problem,
  });
});

Deno.test("readLogReport() reads what a running agent has stored", () => {
  using folder = new TemporaryFolder();
  const storePath = `${folder.path}/topology.db`;
  const absent = { status: null, text: "none sent yet", json: null, warnings: [] };
  assert.deepEqual(readLogReport(storePath, now), absent);
  const store = new PositionStore(`${folder.path}/logs.db`, () => {});
  store.read("a");
  assert.deepEqual(readLogReport(storePath, now), absent);
  store.save(new Map(), status);
  assert.deepEqual(readLogReport(storePath, now).status, status);
  store.close();
});

Deno.test("readLogReport() warns of a file that no agent has written", () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/logs.db`;
  const read = () => readLogReport(`${folder.path}/topology.db`, now);
  const store = new PositionStore(path, () => {});
  store.save(new Map(), status);
  store.close();
  const database = new DatabaseSync(path);
  for (const json of ["{}", "null", "[", JSON.stringify({ ...status, at: 1e300 })]) {
    database.prepare("UPDATE status SET json = ?").run(json);
    const { status: known, warnings } = read();
    assert.equal(known, null, json);
    assert.match(warnings.join(), /^Cannot read .*logs\.db: /, json);
  }
  database.prepare("UPDATE status SET json = ?").run("x".repeat(1e6));
  assert.deepEqual(read().status, null);
  database.close();
  Deno.writeTextFileSync(path, "no database ".repeat(1_000));
  assert.match(read().text, /^Cannot read .*logs\.db: file is not a database/);
  Deno.removeSync(path);
  Deno.symlinkSync("/etc/passwd", path);
  assert.match(read().text, /it is not a regular file/);
});

Deno.test("run() --once and state show the log lines that an agent forwards", async () => {
  await using setup = await AgentSetup.create();
  const flags = [...flagsOf(setup), "--syslog-port", "6514"];
  const once = () => runOn(["--once", "--json", ...flags]);
  const { logs, exit_code } = JSON.parse((await once()).stdout);
  assert.deepEqual([logs, exit_code], [null, 0]);
  const store = new PositionStore(`${setup.path}/logs.db`, () => {});
  const since = Date.now() - 660_000;
  store.save(new Map(), { ...status, at: Date.now(), behindSince: since, problem });
  const late = JSON.parse((await once()).stdout);
  assert.equal(late.exit_code, 1);
  assert.equal(late.summary, `log lines wait since ${new Date(since).toISOString()}: ${problem}`);
  assert.equal(late.logs.sent, 1200);
  const state = await runOn(["state", ...flags]);
  assert.equal(state.code, 1);
  assert.match(state.stdout, /\nlog lines {5}1200 sent of 5 containers, .*waiting since 20/);
  store.close();
  const without = JSON.parse((await runOn(["--once", "--json", ...flagsOf(setup)])).stdout);
  assert.deepEqual([without.exit_code, without.logs], [0, undefined]);
});
