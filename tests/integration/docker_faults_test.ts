import assert from "node:assert/strict";
import type { TopologyReport } from "../../agent/heartbeat.ts";
import { AgentSetup, withHeartbeats } from "../support/agent_setup.ts";
import { flagsOf, runOn } from "../support/command_line.ts";
import { type FaultPlace, rows } from "../support/docker_faults.ts";
import { FakeEngine } from "../support/engine/fake_engine.ts";
import type { Fault } from "../support/engine/faults.ts";
import { container, network } from "../support/engine/state.ts";
import { consistent } from "../support/heartbeat.ts";

/** What a healthy engine runs. */
const well = {
  bridges: ["decnet_t_11111111_lan-00"],
  containers: ["decnet_t_11111111_decky-001", "decnet_t_11111111_decky-001-ssh"],
};
/** The part of a heartbeat that depends on the engine. */
type Told = Pick<TopologyReport, "observed" | "drift">;

for (const [what, trouble, error, onceError = error] of rows) {
  Deno.test(`${what}: heartbeat and --once report it and recover`, async () => {
    await using setup = await AgentSetup.create();
    await using atLast = new AsyncDisposableStack();
    setup.apply();
    const agent = setup.newAgent();
    atLast.defer(() => agent.close());
    /** Sends a heartbeat beside a check; returns the check's result, and what the master got. */
    const look = async () => {
      const [, once] = await Promise.all([
        agent.sendHeartbeat(new AbortController().signal),
        runOn(["--once", ...flagsOf(setup)]),
      ]);
      const told = setup.master.heartbeats.splice(0).map(({ body }) => {
        const { observed, drift } = (body as { topology: Told }).topology;
        return { observed, drift };
      });
      return { once, told };
    };

    const fix = await bring(trouble, setup, atLast);
    const { once, told } = await look();
    const start = `Cannot observe Docker at ${setup.engine.socketPath}: `;
    const drift = { state: "unknown", detail: "Docker did not answer" };
    assert.deepEqual(
      told.toSorted((a, b) => JSON.stringify(a) < JSON.stringify(b) ? -1 : 1),
      [error, onceError].toSorted().map((it) => ({ observed: { error: start + it }, drift })),
    );
    assert.deepEqual([once.code, once.stderr], [2, ""]);
    const [line, figures] = once.stdout.split(" | ");
    assert.equal(line, `DECNET CRITICAL - ${start}${onceError}`);
    assert.match(figures!, /^master=\d\.\d{3}s\n$/);

    await fix();
    const after = await look();
    assert.deepEqual(after.told, Array(2).fill({ observed: well, drift: consistent }));
    assert.equal(after.once.code, 0, after.once.stdout);
  });
}

/** Causes a fault; returns a function that ends it. */
async function bring(
  trouble: Fault | FaultPlace,
  setup: AgentSetup,
  atLast: AsyncDisposableStack,
): Promise<() => Promise<void> | void> {
  if (typeof trouble === "function") return await trouble(setup, atLast);
  setup.engine.fault = trouble;
  return () => {
    setup.engine.fault = undefined;
  };
}

Deno.test("D8 heartbeat reports the engine that has replaced another", () =>
  withHeartbeats(async (setup, heartbeat) => {
    setup.apply();
    assert.deepEqual((await heartbeat()).received?.topology?.drift, consistent);
    await setup.engine.stop();
    await using next = await FakeEngine.start(setup.engine.socketPath);
    next.networks = [network({ name: "decnet_t_99999999_other" })];
    next.containers = [container({ name: "decnet-new" })];
    const { topology } = (await heartbeat()).received!;
    assert.deepEqual(topology?.observed, {
      bridges: ["decnet_t_99999999_other"],
      containers: ["decnet-new"],
    });
    assert.equal(topology?.drift.state, "drifted");
  }));

Deno.test("D7 heartbeat names the paths searched for an engine, finds it later", () =>
  withHeartbeats(async (setup, heartbeat) => {
    setup.apply();
    const [first, second] = [`${setup.path}/a.sock`, `${setup.path}/b.sock`];
    const { observed } = (await heartbeat()).received!.topology!;
    assert.deepEqual(observed, {
      error:
        `Cannot find Docker: none of ${first}, ${second} exists; start the engine, or set docker-host`,
    });
    await using engine = await FakeEngine.start(second);
    Object.assign(engine, {
      networks: setup.engine.networks,
      containers: setup.engine.containers,
    });
    assert.deepEqual((await heartbeat()).received?.topology?.drift, consistent);
  }, ({ path }) => ({ sockets: [`${path}/a.sock`, `${path}/b.sock`] })));

Deno.test("D3 slow engine: heartbeat and --once wait and report its latency", () =>
  withHeartbeats(async (setup, heartbeat) => {
    setup.apply();
    // Both lists together have some 3,000 bytes; each has 5 s.
    setup.engine.fault = { kind: "slow", bytesPerSecond: 1_500 };
    const [{ received, heartbeat: { snapshot } }, once] = await Promise.all([
      heartbeat(),
      runOn(["--once", "--json", ...flagsOf(setup, { master: false })]),
    ]);
    assert.deepEqual(received?.topology?.drift, consistent);
    assert.equal(once.code, 0, once.stdout);
    const told = JSON.parse(once.stdout).docker.latency_ms;
    for (const latencyMs of [snapshot.engine!.latencyMs, told]) {
      assert.ok(latencyMs > 1_000 && latencyMs < 8_000, `${latencyMs} ms`);
    }
  }));
