import assert from "node:assert/strict";
import { container } from "../engine/mod.ts";
import { requirement } from "../requirements.ts";
import { execute, Host } from "./host.ts";
import { RunningAgent } from "./running_agent.ts";
import { works } from "./works.ts";

const interval = "--interval=5s";
/** To root every file is open, unless it lacks these capabilities. */
const confined = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] as const;
const isRoot = Deno.uid() === 0;
const setpriv = requirement("setpriv, as root", !isRoot || await works(...confined, "true"));

/** What the latest beat has told of the engine. */
function lastObserved(beats: readonly { readonly body: unknown }[]): object {
  return (beats.at(-1)!.body as { topology: { observed: object } }).topology.observed;
}

Deno.test({
  name:
    `decnet-agent beats and says so while it may not use the socket, and goes on when it may${setpriv.suffix}`,
  ignore: setpriv.ignore,
  async fn() {
    setpriv.check();
    await using host = await Host.create();
    const engine = await host.startEngine();
    engine.containers = [container({ name: "decnet-x" })];
    const { master } = await host.startMaster();
    await Deno.chmod(host.socket, 0);
    const wrapper = isRoot ? confined : [];
    const error = `Cannot observe Docker at ${host.socket}: ` +
      "permission denied; run as root, or as a member of the socket's group";

    const once = await execute(["--once", ...host.flags()], { wrapper });
    assert.equal(once.code, 2);
    assert.equal(once.stdout, `DECNET CRITICAL - ${error}\n`);

    await using agent = new RunningAgent([interval, ...host.flags(master)], { wrapper });
    await agent.until(() => master.beatCount >= 1);
    assert.deepEqual(lastObserved(master.beats), { error });
    assert.equal(engine.connectionCount, 0);
    await Deno.chmod(host.socket, 0o600);
    await agent.until(() => "bridges" in lastObserved(master.beats));
    assert.deepEqual(lastObserved(master.beats), { bridges: [], containers: ["decnet-x"] });
    const { stderr } = await agent.stop();
    assert.deepEqual(stderr.match(/msg=("[^"]*"|\S+)/g), [
      "msg=started",
      `msg="${error}"`,
      'msg="Docker answers again"',
      'msg="unexpected decnet-x (running)"',
      "msg=stopped",
    ]);
  },
});

Deno.test("decnet-agent beats, with bounded memory, while the engine answers 100 MB, and goes on after", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  engine.fault = { kind: "huge", bytes: 100_000_000 };
  const { master } = await host.startMaster();
  await using agent = new RunningAgent([interval, ...host.flags(master)]);
  await agent.until(() => master.beatCount >= 1 && engine.requestCount >= 3);
  assert.deepEqual(lastObserved(master.beats), {
    error: `Cannot observe Docker at ${host.socket}: ` +
      "the answer is larger than 32 MiB; remove containers that nobody needs",
  });
  // All 100 MB and the objects that they make would be several times as much.
  const peakMiB = agent.peakMemory() / 2 ** 20;
  assert.ok(peakMiB < 250, `${peakMiB} MiB`);
  engine.fault = undefined;
  await agent.until(() => "bridges" in lastObserved(master.beats));
  assert.deepEqual(lastObserved(master.beats), { bridges: [], containers: [] });
});
