import assert from "node:assert/strict";
import { oneLan } from "../support/apply_host.ts";
import { until } from "../support/environment.ts";
import { execute, Host, ListeningHost, RunningAgent } from "../support/executable.ts";

/** Starts a program for which standard error is the journal, as systemd does. */
const underJournal = [
  ...["sh", "-c", 'JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec "$0" "$@"'],
];

Deno.test("decnet-agent logs each heartbeat and each call at log-level debug", async () => {
  await using listening = await ListeningHost.create();
  const engine = await listening.host.startEngine();
  engine.images = oneLan.plan.containers.map(({ request }) => request.Image);
  // A secret in the log would be found when the agent is stopped.
  await using agent = new RunningAgent(["--log-level=debug", ...listening.flags]);
  await agent.until(() => agent.stderr.includes("msg=listening"));
  const body = `{"hydrated":${oneLan.text},"version_hash":"${oneLan.versionHash}"}`;
  const { status } = await listening.call("/topology/apply", { method: "POST", body });
  assert.equal(status, 200);
  await listening.call("/nothing?token=x");
  await agent.until(() => agent.stderr.includes("result=delivered"));
  const { stderr } = await agent.stop();
  const calls = ["GET path=/networks status=200", 'GET path="/events\\?filters=[^"]*" status=200']
    .concat(
      "POST path=/networks/create status=201",
      "POST path=/containers/\\w+/start status=204",
    )
    .map((call) => `msg="Docker call" method=${call}`);
  const expected = [...calls, 'msg="API call" method=POST path=/topology/apply status=200']
    .concat('msg="API call" method=GET path=/nothing status=404')
    .concat("msg=heartbeat result=delivered status=204");
  for (const line of expected) {
    assert.match(stderr, new RegExp(`^time=\\S+Z level=debug ${line} ms=\\d+$`, "m"));
  }
});

Deno.test("decnet-agent writes priorities to the journal, and no time", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  engine.fault = { kind: "reset" };
  const config = `${host.folder}/decnet.ini`;
  await Deno.writeTextFile(config, "[agent]\ncolour = red\nlog-level = debug\n");
  const flags = ["--interval=5s", `--config=${config}`, ...host.flags()];
  await using agent = new RunningAgent(["run", ...flags], { wrapper: underJournal });
  await agent.until(() => agent.stderr.includes("heartbeat"));
  const { stderr } = await agent.stop();
  const lines = stderr.trimEnd().split("\n");
  assert.deepEqual(lines.filter((line) => !/^<[3467]>level=/.test(line)), []);
  const expected = ["<4>level=warn msg=\".*'colour' is ignored", "<6>level=info msg=started"]
    .concat('<3>level=error msg="Cannot observe Docker', "<7>level=debug msg=heartbeat");
  for (const start of expected) assert.match(stderr, new RegExp(`^${start}`, "m"));
  // The journal's stream is another one: standard error was redirected.
  const env = { JOURNAL_STREAM: "1:1" };
  const refused = ["run", "--log-level=loud"];
  const message = "log-level: 'loud' (from --log-level) must be one of error, warn, info, debug";
  assert.equal((await execute(refused, { env })).stderr, `decnet-agent: ${message}\n`);
  const { code, stderr: line } = await execute(refused, { wrapper: underJournal });
  assert.deepEqual([code, line], [3, `<3>level=error msg=${JSON.stringify(message)}\n`]);
});

Deno.test("decnet-agent takes another log-level at SIGHUP", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  const config = `${host.folder}/decnet.ini`;
  const configure = (level: string) => Deno.writeTextFile(config, `[agent]\nlog-level=${level}\n`);
  await configure("error");
  await using agent = new RunningAgent(["--interval=5s", `--config=${config}`, ...host.flags()]);
  await until(() => engine.requestCount > 0);
  assert.equal(agent.stderr, "");
  await configure("debug");
  agent.signal("SIGHUP");
  await agent.until(() => agent.stderr.includes("msg=heartbeat"));
  assert.match(agent.stderr, /^time=\S+Z level=info msg="the configuration was read again" /m);
  await configure("loud");
  agent.signal("SIGHUP");
  await agent.until(() => agent.stderr.includes("the configuration stays as it was"));
  const length = agent.stderr.length;
  await agent.until(() => agent.stderr.indexOf("level=debug", length) > 0);
});
