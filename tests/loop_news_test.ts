import assert from "node:assert/strict";
import { runLoop } from "../agent/mod.ts";
import { AgentSetup } from "./agent_setup.ts";
import { container } from "./engine/mod.ts";

/** Runs the loop with an interval that no test waits for, looking at the host every 20 ms. */
async function withLoop(setup: AgentSetup, test: () => Promise<void>): Promise<void> {
  const agent = setup.newAgent();
  const stop = new AbortController();
  const loop = runLoop(agent, stop.signal, {
    intervalMs: 3_600_000,
    lookIntervalMs: 20,
    log: () => {},
    random: () => 0,
  });
  try {
    await test();
  } finally {
    stop.abort();
    await loop;
    agent.close();
  }
}

/** Waits until the engine was asked so many times more; a look asks twice. */
async function requests(setup: AgentSetup, more: number): Promise<void> {
  const wanted = setup.engine.requestCount + more;
  for (let times = 0; setup.engine.requestCount < wanted; times++) {
    assert.ok(times < 1_000, "the engine was not asked again");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

Deno.test("runLoop() beats at once when the host has changed, and only then", async () => {
  await using setup = await AgentSetup.create();
  setup.apply();
  await withLoop(setup, async () => {
    await setup.master.nextBeat();
    await requests(setup, 10);
    assert.equal(setup.master.beatCount, 1);
    const base = "decnet_t_11111111_decky-001";
    setup.engine.containers = setup.engine.containers.filter(({ Names }) =>
      Names[0] === `/${base}`
    );
    const { body } = await setup.master.nextBeat();
    assert.deepEqual((body as { topology: { observed: unknown } }).topology.observed, {
      bridges: ["decnet_t_11111111_lan-00"],
      containers: [base],
    });
    await requests(setup, 10);
    assert.equal(setup.master.beatCount, 2);
  });
});

Deno.test("runLoop() beats at once when the store has changed", async () => {
  await using setup = await AgentSetup.create();
  await withLoop(setup, async () => {
    await setup.master.nextBeat();
    setup.apply();
    setup.engine.containers = [...setup.engine.containers, container({ name: "not-ours" })];
    await setup.master.nextBeat();
  });
});

Deno.test("runLoop() does not look at the host while the master asked for a pause", async () => {
  await using setup = await AgentSetup.create();
  setup.master.answer = { status: 503, headers: { "retry-after": "3600" } };
  await withLoop(setup, async () => {
    await setup.master.nextBeat();
    const before = setup.engine.requestCount;
    setup.apply();
    // As long as ten looks would take.
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.equal(setup.engine.requestCount, before);
    assert.equal(setup.master.beatCount, 1);
  });
});
