import assert from "node:assert/strict";
import { Bell, runLoop } from "../agent/mod.ts";
import { AgentSetup } from "./agent_setup.ts";
import { container } from "./engine/mod.ts";

/** What a test has at hand besides the host. */
interface Course {
  readonly bell: Bell;
  /** How many looks, and beats, have begun. */
  readonly works: () => number;
}

/** Runs the loop with an interval that no test waits for. */
async function withLoop(
  setup: AgentSetup,
  test: (course: Course) => Promise<void>,
  { isBusy = () => false, extraApartMs = 0 }: {
    readonly isBusy?: () => boolean;
    readonly extraApartMs?: number;
  } = {},
): Promise<void> {
  const agent = setup.newAgent();
  const stop = new AbortController();
  const bell = new Bell();
  let works = 0;
  const loop = runLoop(agent, stop.signal, {
    intervalMs: 3_600_000,
    extraApartMs,
    log: () => {},
    random: () => 0,
    bell,
    isBusy,
    onWork: (phase) => works += phase === "begin" ? 1 : 0,
  });
  try {
    await test({ bell, works: () => works });
  } finally {
    stop.abort();
    await loop;
    agent.close();
  }
}

/** Waits until something has happened. */
async function until(condition: () => boolean): Promise<void> {
  for (let times = 0; !condition(); times++) {
    assert.ok(times < 2_000, "it did not happen");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Lets everything that is under way come to its end, and five looks, if there are any. */
async function settle(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 1_500));
}

const base = "decnet_t_11111111_decky-001";

/** All containers but the base are gone. */
function loseOne({ engine }: AgentSetup): void {
  engine.containers = engine.containers.filter(({ Names }) => Names[0] === `/${base}`);
}

Deno.test("runLoop() looks at a hint, and beats at once when the host has changed, and only then", async () => {
  await using setup = await AgentSetup.create();
  setup.apply();
  await withLoop(setup, async ({ bell, works }) => {
    await setup.master.nextBeat();
    bell.hint();
    await until(() => works() >= 2);
    assert.equal(setup.master.beatCount, 1);
    loseOne(setup);
    bell.hint();
    const { body } = await setup.master.nextBeat();
    assert.deepEqual((body as { topology: { observed: unknown } }).topology.observed, {
      bridges: ["decnet_t_11111111_lan-00"],
      containers: [base],
    });
    // The look that finds it, the beat, and looks that follow a hint, the fewer the slower they are.
    await until(() => works() >= 6);
    assert.equal(setup.master.beatCount, 2);
  });
});

Deno.test("runLoop() does not look between two beats without a hint", async () => {
  await using setup = await AgentSetup.create();
  await withLoop(setup, async ({ works }) => {
    await setup.master.nextBeat();
    setup.apply();
    await settle();
    assert.deepEqual([works(), setup.master.beatCount], [1, 1]);
  });
});

Deno.test("runLoop() beats at once when the store has changed", async () => {
  await using setup = await AgentSetup.create();
  await withLoop(setup, async ({ bell }) => {
    await setup.master.nextBeat();
    setup.apply();
    setup.engine.containers = [...setup.engine.containers, container({ name: "not-ours" })];
    bell.hint();
    await setup.master.nextBeat();
  });
});

Deno.test("runLoop() looks again after a hint, as the engine's lists come later than its events", async () => {
  await using setup = await AgentSetup.create();
  setup.apply();
  await withLoop(setup, async ({ bell, works }) => {
    await setup.master.nextBeat();
    bell.hint();
    await until(() => works() >= 3);
    loseOne(setup);
    await setup.master.nextBeat();
  });
});

Deno.test("runLoop() looks seldom in a flood of hints", async () => {
  await using setup = await AgentSetup.create();
  await withLoop(setup, async ({ bell, works }) => {
    await setup.master.nextBeat();
    const flood = setInterval(() => bell.hint(), 1);
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    clearInterval(flood);
    assert.ok(works() > 2 && works() <= 16, `${works()} looks`);
    assert.equal(setup.master.beatCount, 1);
  });
});

Deno.test("runLoop() does not lose a hint that comes during a beat", async () => {
  await using setup = await AgentSetup.create();
  setup.apply();
  await withLoop(setup, async ({ bell }) => {
    await setup.master.nextBeat();
    setup.master.answer = () => {
      if (setup.engine.containers.length > 1) {
        loseOne(setup);
        bell.hint();
      }
      return { status: 204 };
    };
    bell.ring();
    await setup.master.nextBeat();
    const { body } = await setup.master.nextBeat();
    assert.match(JSON.stringify(body), /"containers":\["decnet_t_11111111_decky-001"\]/);
  });
});

Deno.test("runLoop() keeps its distance between beats for news, and tells the last change", async () => {
  await using setup = await AgentSetup.create();
  setup.apply();
  const extraApartMs = 900;
  await withLoop(setup, async ({ bell }) => {
    await setup.master.nextBeat();
    loseOne(setup);
    bell.hint();
    await setup.master.nextBeat();
    const firstAt = performance.now();
    setup.apply();
    bell.hint();
    setup.engine.containers = [];
    bell.hint();
    const { body } = await setup.master.nextBeat();
    assert.ok(performance.now() - firstAt >= extraApartMs - 300, "it came too early");
    assert.match(JSON.stringify(body), /"containers":\[\]/);
    await settle();
    assert.equal(setup.master.beatCount, 3);
  }, { extraApartMs });
});

Deno.test("runLoop() does not look while the agent itself changes the host, and does after", async () => {
  await using setup = await AgentSetup.create();
  let isBusy = true;
  await withLoop(setup, async ({ bell, works }) => {
    await setup.master.nextBeat();
    setup.apply();
    bell.hint();
    await settle();
    assert.deepEqual([works(), setup.master.beatCount], [1, 1]);
    isBusy = false;
    bell.hint();
    await setup.master.nextBeat();
  }, { isBusy: () => isBusy });
});

Deno.test("runLoop() does not look at the host while it waits after a failure, or as asked", async () => {
  await using setup = await AgentSetup.create();
  for (const headers of [{ "retry-after": "3600" }, {}]) {
    setup.master.answer = { status: 503, headers };
    const before = setup.master.beatCount;
    await withLoop(setup, async ({ bell, works }) => {
      await setup.master.nextBeat();
      setup.apply();
      bell.hint();
      await settle();
      assert.deepEqual([works(), setup.master.beatCount], [1, before + 1]);
    });
  }
});
