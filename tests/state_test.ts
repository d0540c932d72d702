import assert from "node:assert/strict";
import { AgentSetup, topologyId, versionHash, withAgent } from "./agent_setup.ts";
import { container } from "./engine/mod.ts";

const never = new AbortController().signal;
const lan = "decnet_t_11111111_lan-00";
const base = "decnet_t_11111111_decky-001";

Deno.test("Agent.state() tells of a host that is idle", () =>
  withAgent(async (_, agent) => {
    const nothing = { missing: [], stopped: [], unhealthy: [], changed: [], unexpected: [] };
    assert.deepEqual(await agent.state(never), {
      topology_id: null,
      applied_version_hash: null,
      applied_at: null,
      last_error: null,
      observed: { bridges: [], containers: [] },
      drift: { state: "consistent", ...nothing },
    });
  }));

Deno.test("Agent.state() tells what is applied, what runs, how they differ, and the last error", () =>
  withAgent(async (setup, agent) => {
    setup.apply();
    setup.changeStore((store) => store.recordError(topologyId, "no such image"));
    setup.engine.containers = setup.engine.containers.filter(({ Names }) => {
      return Names[0] === `/${base}`;
    });
    const { drift, ...report } = (await agent.state(never))!;
    assert.deepEqual(report, {
      topology_id: topologyId,
      applied_version_hash: versionHash,
      applied_at: 1_700_000_000,
      last_error: "no such image",
      observed: { bridges: [lan], containers: [base] },
    });
    assert.ok(drift.state === "drifted");
    assert.deepEqual(drift.missing, [{ type: "container", name: `${base}-ssh`, detail: "" }]);
  }));

Deno.test("Agent.state() is what the next beat tells, and sends nothing itself", () =>
  withAgent(async (setup, agent) => {
    setup.apply();
    const state = await agent.state(never);
    assert.equal(setup.master.connectionCount, 0);
    await agent.beat(never);
    assert.deepEqual((setup.master.beats[0]!.body as { topology: unknown }).topology, state);
    assert.equal(setup.master.beatCount, 1);
  }));

Deno.test("Agent.state() tells that Docker does not answer, and does not throw", () =>
  withAgent(async (setup, agent) => {
    setup.apply();
    setup.engine.fault = { kind: "status", status: 500, message: "boom" };
    const state = (await agent.state(never))!;
    assert.ok("error" in state.observed);
    assert.match(state.observed.error, /boom/);
    assert.deepEqual([state.topology_id, state.drift.state], [topologyId, "unknown"]);
    setup.engine.fault = { kind: "hang" };
    const late = (await agent.state(AbortSignal.abort(new Error("too late"))))!;
    assert.ok("error" in late.observed);
    assert.match(late.observed.error, /too late/);
  }));

Deno.test("Agent.state() is null when the store cannot be read", () =>
  withAgent(async (setup, agent) => {
    await Deno.writeTextFile(setup.storePath, "garbage ".repeat(999));
    assert.equal(await agent.state(never), null);
  }));

Deno.test("Agent.state() takes no news away from the next beat", () =>
  withAgent(async (setup, agent) => {
    await agent.beat(never);
    await agent.state(never);
    assert.equal(await agent.hasNews(never), false);
    setup.engine.containers = [container({ name: "decnet-x" })];
    await agent.state(never);
    assert.equal(await agent.hasNews(never), true);
  }));

Deno.test("Agent.state() answers many at once, beside a beat", () =>
  withAgent(async (setup, agent) => {
    setup.apply();
    setup.engine.latencyMs = 20;
    const [beat, ...states] = await Promise.all([
      agent.beat(never),
      ...Array.from({ length: 10 }, () => agent.state(never)),
    ]);
    assert.equal(beat.delivery.result, "delivered");
    for (const state of states) assert.deepEqual(state, beat.body.topology);
    assert.equal(setup.master.beatCount, 1);
  }));

Deno.test("Agent.state() needs no master and no certificates", async () => {
  await using setup = await AgentSetup.create();
  setup.apply();
  await setup.master.stop();
  await Deno.remove(`${setup.path}/worker.key`);
  const agent = setup.newAgent();
  assert.equal((await agent.state(never))?.topology_id, topologyId);
  agent.close();
});
