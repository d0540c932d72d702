import assert from "node:assert/strict";
import { promtool } from "../promtool.ts";
import { execute, Host } from "./host.ts";
import { ListeningHost } from "./listening_host.ts";
import { RunningAgent } from "./running_agent.ts";

Deno.test({
  name: `decnet-agent --once --textfile writes metrics that Prometheus reads${promtool.suffix}`,
  ignore: promtool.ignore,
  fn: async () => {
    promtool.check();
    await using host = await Host.create();
    await host.startEngine();
    const { master } = await host.startMaster();
    const path = `${host.folder}/decnet.prom`;
    // The unit has this umask.
    const wrapper = ["sh", "-c", 'umask 077; exec "$0" "$@"'];
    const args = ["--once", "--quiet", ...host.flags(master)];
    const ended = await execute(args, { env: { DECNET_TEXTFILE: path }, wrapper });
    assert.deepEqual([ended.code, ended.stdout, ended.stderr], [0, "", ""]);
    assert.equal(Deno.statSync(path).mode! & 0o777, 0o644);
    const text = Deno.readTextFileSync(path);
    assert.match(text, /^decnet_agent_status_code 0$/m);
    await promtool.run(["check", "metrics"], text);
  },
});

Deno.test("decnet-agent writes metrics after each beat, and whether the API listens", async () => {
  await using listening = await ListeningHost.create();
  const { host, master } = listening;
  await host.startEngine();
  const path = `${host.folder}/decnet.prom`;
  await using agent = new RunningAgent([...listening.flags, `--textfile=${path}`]);
  const has = (line: string) => {
    try {
      return Deno.readTextFileSync(path).split("\n").includes(`decnet_agent_${line}`);
    } catch (error) {
      // It is not there before the first beat; later it is never absent for a moment.
      assert.ok(error instanceof Deno.errors.NotFound && master.beatCount <= 1);
      return false;
    }
  };
  await agent.until(() => has('beats_total{result="delivered"} 2'));
  assert.ok(has("api_listening 1") && has("status_code 0"));
  const names = [...Deno.readDirSync(host.folder)].map(({ name }) => name);
  assert.deepEqual(names.filter((name) => name.includes(".prom")), ["decnet.prom"]);
  const { stderr } = await agent.stop();
  assert.deepEqual(stderr.match(/msg=\S+/g), ["msg=started", "msg=listening", "msg=stopped"]);
});

Deno.test("decnet-agent writes metrics elsewhere, and goes on counting, after a SIGHUP", async () => {
  await using host = await Host.create();
  await host.startEngine();
  const ini = `${host.folder}/decnet.ini`;
  const tell = (textfile: string) =>
    Deno.writeTextFileSync(ini, `[agent]\ninterval = 5s\ntextfile = ${host.folder}/${textfile}\n`);
  const beatsIn = (textfile: string) => {
    try {
      const text = Deno.readTextFileSync(`${host.folder}/${textfile}`);
      return Number(/^decnet_agent_beats_total\{result="not_configured"\} (\d+)$/m.exec(text)![1]);
    } catch (error) {
      assert.ok(error instanceof Deno.errors.NotFound);
      return 0;
    }
  };
  tell("a.prom");
  await using agent = new RunningAgent(["--config", ini, ...host.flags()]);
  await agent.until(() => beatsIn("a.prom") > 0);
  tell("b.prom");
  agent.signal("SIGHUP");
  await agent.until(() => beatsIn("b.prom") > 0);
  assert.equal(beatsIn("b.prom"), beatsIn("a.prom") + 1);
});
