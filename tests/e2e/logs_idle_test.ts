import assert from "node:assert/strict";
import { lineFrames, timestampAt } from "../support/engine/logs.ts";
import { container, type ContainerItem } from "../support/engine/state.ts";
import { Host, RunningAgent } from "../support/executable.ts";
import { LogListener } from "../support/log_listener.ts";
import { SwallowingProxy } from "../support/swallowing_proxy.ts";
import { cpuMsOf } from "../support/processes.ts";

const labels = { "decnet.topology.id": "11111111-0000", "decnet.topology.service": "true" };
const watchedMs = 3_000;
/** A loop that never waits takes all the time that it gets: on a busy machine, too, more than this. */
const maximumCpuMs = 200;
/** The forwarder closes the logs when no line was taken for 5 s. */
const untilClosedMs = 7_000;

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

Deno.test("L4 decnet-agent takes no processor time while log lines wait", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  const { master, authority } = await host.startMaster();
  await using listener = await LogListener.start({ authority });
  // Closed in the middle of the test.
  const proxy = new SwallowingProxy(listener.port);
  const own = Array.from(
    { length: 8 },
    (_, at) => container({ name: `decnet_t_11111111_s${at}`, labels }),
  );
  // It has the labels, but the name of no topology.
  const foreign = container({ name: "bench-web", labels });
  engine.containers = [...own, foreign];
  /** Sends so much of each log that the buffers of all are full while one waits for room. */
  const flood = async (text: string) => {
    const frames = Array(500).fill(lineFrames(timestampAt(Date.now()), `${text.repeat(8_000)}\n`));
    const bytes = new Uint8Array(await new Blob(frames.flat()).arrayBuffer());
    for (const { Id } of own) engine.logs.write(Id, bytes);
  };
  const flags = ["--interval=5s", `--syslog-port=${proxy.port}`, ...host.flags(master)];
  const agent = new RunningAgent(flags);
  try {
    const assertIdle = async (state: string) => {
      const { heartbeatCount } = master;
      // A busy machine is slow to read what was printed; a loop that never waits never ends.
      let cpuMs = maximumCpuMs;
      for (let times = 0; times < 10 && cpuMs >= maximumCpuMs; times++) {
        const before = cpuMsOf(agent.pid);
        await wait(watchedMs);
        cpuMs = cpuMsOf(agent.pid) - before;
      }
      assert.ok(cpuMs < maximumCpuMs, `${cpuMs} ms of ${watchedMs} ms: ${state}`);
      await agent.until(() => master.heartbeatCount > heartbeatCount);
    };
    await agent.until(() => engine.logs.followed.length === own.length);
    await assertIdle("no lines");
    proxy.hold();
    await flood("x");
    await wait(untilClosedMs);
    await assertIdle("a listener that reads nothing");
    proxy.release();
    for (const { Id, Names: [name] } of own) engine.logs.print(Id, `calm ${name}\n`);
    const isSent = ({ Names: [name] }: ContainerItem) => listener.lines.includes(`calm ${name}`);
    await agent.until(() => own.every(isSent));
    await assertIdle("all lines sent");
    await flood(" ");
    await wait(5_000);
    await assertIdle("lines held back");
    await proxy[Symbol.asyncDispose]();
    await flood("x");
    await wait(untilClosedMs);
    await assertIdle("no listener");
    await engine.stop();
    await wait(1_000);
    await assertIdle("no engine");
    await agent.stop("SIGTERM");
  } finally {
    await agent[Symbol.asyncDispose]();
  }
});
