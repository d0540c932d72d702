import assert from "node:assert/strict";
import { AgentSetup, versionHash } from "../tests/support/agent_setup.ts";
import { flagsOf, runOn } from "../tests/support/command_line.ts";
import { container } from "../tests/support/engine/state.ts";
import { readPluginOutput } from "../tests/support/plugin_output.ts";

const words = ["OK", "WARNING", "CRITICAL", "UNKNOWN"];

/** `says` matches the text between the status and the performance data. */
type Row = readonly [
  code: 0 | 1 | 2 | 3,
  what: string,
  says: RegExp,
  prepare?: (setup: AgentSetup) => unknown,
  flag?: string,
];

const inDays = (days: number) => new Date(Date.now() + days * 86_400_000);
const garbage = (setup: AgentSetup) => Deno.writeTextFile(setup.storePath, "garbage ".repeat(999));
const removeKey = (setup: AgentSetup) => Deno.remove(`${setup.path}/worker.key`);

const noKey = /worker\.key: no such file; see agent-dir$/;
const runsOther = ({ engine }: AgentSetup) => {
  engine.containers = [...engine.containers, container({ name: "decnet-x", state: "exited" })];
};
const rejects = ({ master }: AgentSetup) => master.answer = { status: 403 };

// report_test.ts has the other findings.
const rows: Row[] = [
  [
    0,
    "all is well",
    new RegExp(`^topology 11111111-.* at ${versionHash.slice(0, 12)}, .*heartbeat sent$`),
  ],
  [1, "Docker runs something else", /^unexpected decnet-x \(exited\)$/, runsOther],
  [
    1,
    "a certificate expires soon",
    /^worker\.crt expires on \d{4}-\d\d-\d\d; renew it$/,
    (setup) => setup.writeCertificates("worker-1", inDays(29)),
  ],
  [
    2,
    "Docker is down",
    /^Cannot observe Docker at .*docker\.sock: /,
    ({ engine }) => engine.stop(),
  ],
  [3, "certificates are missing", noKey, removeKey],
  [3, "certificates are missing for a dry run", noKey, removeKey, "--dry-run"],
  [3, "the store is unreadable", /^Cannot read the store .*empty store$/, garbage],
  [
    3,
    "Docker, master and store fail, the worst first",
    /^Cannot read the store .*; Cannot observe Docker .*; the master answered 403/,
    async (setup) => {
      await garbage(setup);
      rejects(setup);
      await setup.engine.stop();
    },
  ],
];

/** Removes the times, which differ between two checks. */
const withoutTimes = (line: string) => line.replaceAll(/=[\d.]+s\b/g, "=s");

for (const [code, what, says, prepare = () => {}, flag] of rows) {
  Deno.test(`--once ends with ${code} when ${what}`, async () => {
    await using setup = await AgentSetup.create();
    setup.apply();
    await prepare(setup);
    const args = ["--once", ...flagsOf(setup), ...(flag ? [flag] : [])];
    const text = await runOn(args);
    assert.deepEqual([text.code, text.stderr], [code, ""]);
    const printed = readPluginOutput(text.stdout);
    assert.equal(printed.status, words[code], text.stdout);
    assert.match(printed.text, says);
    const json = await runOn([...args, "--json"]);
    const { status, exit_code: exitCode, summary } = JSON.parse(json.stdout);
    assert.deepEqual([json.code, exitCode, status], [code, code, words[code]]);
    assert.match(summary, says);
    const quiet = await runOn([...args, "--quiet"]);
    const expected = code === 0 ? "" : withoutTimes(text.stdout);
    assert.deepEqual([quiet.code, withoutTimes(quiet.stdout), quiet.stderr], [code, expected, ""]);
  });
}

Deno.test("--once changes nothing, and four can run at once", async () => {
  await using setup = await AgentSetup.create();
  const folder = `${setup.path}/absent/state`;
  const flags = [...flagsOf(setup), `--state-dir=${folder}`];
  const ended = await Promise.all(Array.from({ length: 4 }, () => runOn(["--once", ...flags])));
  assert.deepEqual(ended.map(({ code }) => code), [0, 0, 0, 0]);
  assert.throws(() => Deno.statSync(`${setup.path}/absent`), Deno.errors.NotFound);
  assert.ok(setup.engine.requests.every(({ method }) => method === "GET"));
  assert.equal(setup.master.heartbeatCount, 4);
});

Deno.test("--once ends within 10 s when neither Docker nor the master answers", async () => {
  await using setup = await AgentSetup.create();
  setup.engine.fault = { kind: "hang" };
  setup.master.answer = { kind: "hang" };
  const startedAt = performance.now();
  const { code, stdout } = await runOn(["--once", ...flagsOf(setup)]);
  assert.ok(performance.now() - startedAt < 10_000);
  assert.equal(code, 2);
  assert.match(
    stdout,
    /^DECNET CRITICAL - Cannot observe Docker .*; Cannot reach the master .*: no answer/,
  );
  assert.equal(setup.master.heartbeatCount, 1);
});

Deno.test("--once --quiet sends, and keeps its exit code when its output is lost", async () => {
  await using setup = await AgentSetup.create();
  const args = ["--once", "--quiet", ...flagsOf(setup)];
  let lostCount = 0;
  const stdout = () => {
    lostCount++;
    return "no space";
  };
  assert.equal((await runOn(args, { stdout })).code, 0);
  assert.deepEqual([setup.master.heartbeatCount, lostCount], [1, 0]);
  setup.engine.fault = { kind: "status", status: 500, message: "boom" };
  assert.equal((await runOn(args, { stdout })).code, 2);
  assert.equal((await runOn([...args, "--interval=1s"], { stdout })).code, 3);
  assert.equal(lostCount, 2);
});
