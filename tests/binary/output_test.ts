import assert from "node:assert/strict";
import { makeFifo, mkfifo } from "./fifo.ts";
import { execute, Host } from "./host.ts";
import { RunningAgent } from "./running_agent.ts";

const interval = "--interval=5s";

/** Runs the executable with one of its streams on a device that is always full. */
function full(stream: "1" | "2"): readonly string[] {
  return ["sh", "-c", `exec "$0" "$@" ${stream}>/dev/full`];
}

Deno.test("decnet-agent beats on when nobody can take its log", async () => {
  await using host = await Host.create();
  await host.startEngine();
  const { master } = await host.startMaster();
  await using agent = new RunningAgent([interval, ...host.flags(master)], { wrapper: full("2") });
  await agent.until(() => master.beatCount >= 2);
  const { code, ms } = await agent.stop();
  assert.equal(code, 0);
  assert.ok(ms < 2_000, `${ms} ms`);
});

Deno.test("decnet-agent without a master lives on when nobody can take its beats", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  await using agent = new RunningAgent([interval, ...host.flags()], { wrapper: full("1") });
  // Two lists a beat: the second beat comes after the first could not be printed.
  await agent.until(() => engine.requestCount >= 4);
  const { stderr } = await agent.stop();
  assert.deepEqual(stderr.match(/msg=\S+/g), ["msg=started", "msg=stopped"], stderr);
});

Deno.test("decnet-agent --once exits 3 when its output is lost", async () => {
  await using host = await Host.create();
  await host.startEngine();
  for (const format of [[], ["--json"]]) {
    const args = ["--once", ...format, ...host.flags()];
    const { code, stderr } = await execute(args, { wrapper: full("1") });
    assert.equal(code, 3, stderr);
    assert.equal(stderr, "");
  }
});

Deno.test({
  name: `decnet-agent --once exits as ever when its reader has gone${mkfifo.suffix}`,
  ignore: mkfifo.ignore,
  fn: async () => {
    mkfifo.check();
    await using host = await Host.create();
    const fifo = `${host.socket}.fifo`;
    await makeFifo(fifo);
    // By 3 the pipe has a reader for as long as 4 needs to open it.
    const wrapper = ["sh", "-c", `exec 3<>${fifo} 4>${fifo} 3<&-; exec "$0" "$@" >&4 4>&-`];
    const absent = await execute(["--once", ...host.flags()], { wrapper });
    assert.deepEqual([absent.code, absent.stderr], [2, ""]);
    await host.startEngine();
    const present = await execute(["--once", ...host.flags()], { wrapper });
    assert.deepEqual([present.code, present.stderr], [0, ""]);
  },
});
