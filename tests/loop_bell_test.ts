import assert from "node:assert/strict";
import { Bell, runLoop } from "../agent/mod.ts";
import { AgentSetup } from "./agent_setup.ts";

/** What a loop is made with, besides the agent. */
interface Course {
  readonly bell: Bell;
  readonly extraApartMs: number;
  /** A number in [0, 1); with 0 the first beat comes at once. */
  readonly random?: number;
  /** Takes what the loop is about to wait, in milliseconds. */
  readonly onWait?: (ms: number) => void;
}

/** Runs the loop with an interval that no test waits for. */
async function withLoop(
  setup: AgentSetup,
  test: (stop: () => Promise<void>) => Promise<void>,
  { extraApartMs, bell, onWait = () => {}, random = 0 }: Course,
): Promise<void> {
  const agent = setup.newAgent();
  const controller = new AbortController();
  const loop = runLoop(agent, controller.signal, {
    intervalMs: 3_600_000,
    extraApartMs,
    log: () => {},
    random: () => random,
    bell,
    wait: (ms, signal, bell) => {
      onWait(ms);
      return bell.wait(ms, signal);
    },
  });
  const stop = () => {
    controller.abort(new Error("the agent is stopping"));
    return loop;
  };
  try {
    await test(stop);
  } finally {
    await stop();
    agent.close();
  }
}

/** The waits of a loop that makes one beat out of turn at most, unless it is told otherwise. */
class Waits {
  readonly bell = new Bell();
  readonly extraApartMs = 3_600_000;
  /** In milliseconds. */
  readonly all: number[] = [];
  /** For each, whether the bell had rung when it began. */
  readonly rung: boolean[] = [];
  #onWait = () => {};

  readonly onWait = (ms: number) => {
    this.all.push(ms);
    const isRung = this.bell.take();
    if (isRung) this.bell.ring();
    this.rung.push(isRung);
    this.#onWait();
  };

  /** Ends when the loop has begun to wait for the `count`th time. */
  async begun(count: number): Promise<void> {
    while (this.all.length < count) {
      await new Promise<void>((resolve) => this.#onWait = resolve);
    }
  }
}

Deno.test("runLoop() beats at once when its bell rings, before the first beat and after", async () => {
  await using setup = await AgentSetup.create();
  const waits = new Waits();
  await withLoop(setup, async () => {
    await waits.begun(1);
    assert.equal(setup.master.beatCount, 0);
    waits.bell.ring();
    await setup.master.nextBeat();
  }, { ...waits, random: 0.9 });
  await withLoop(setup, async () => {
    await setup.master.nextBeat();
    waits.bell.ring();
    await setup.master.nextBeat();
  }, waits);
  waits.bell.ring();
  await withLoop(setup, () => setup.master.nextBeat().then(), { ...waits, random: 0.9 });
  assert.equal(setup.master.beatCount, 4);
});

Deno.test("runLoop() makes one beat of many rings", async () => {
  await using setup = await AgentSetup.create();
  const waits = new Waits();
  await withLoop(setup, async () => {
    await setup.master.nextBeat();
    await waits.begun(2);
    for (let rings = 0; rings < 100; rings++) waits.bell.ring();
    await setup.master.nextBeat();
    await waits.begun(3);
    assert.deepEqual(waits.rung, [false, false, false]);
  }, waits);
});

Deno.test("runLoop() keeps its distance between two beats that its bell called for", async () => {
  await using setup = await AgentSetup.create();
  const bell = new Bell();
  const extraApartMs = 700;
  await withLoop(setup, async () => {
    await setup.master.nextBeat();
    const rungAt = performance.now();
    bell.ring();
    await setup.master.nextBeat();
    bell.ring();
    await setup.master.nextBeat();
    assert.ok(performance.now() - rungAt >= extraApartMs, "the second came too early");
  }, { bell, extraApartMs });
});

Deno.test("runLoop() does not lose a ring that comes during a beat", async () => {
  await using setup = await AgentSetup.create();
  const waits = new Waits();
  setup.master.answer = (beat) => {
    if (beat === 1) waits.bell.ring();
    return { status: 204 };
  };
  await withLoop(setup, async () => {
    await setup.master.nextBeat();
    await setup.master.nextBeat();
    await waits.begun(3);
    assert.deepEqual(waits.rung, [false, true, false]);
  }, waits);
});

Deno.test("runLoop() passes over its bell while the master asked for a pause, and waits it out", async () => {
  await using setup = await AgentSetup.create();
  const waits = new Waits();
  setup.master.answer = { status: 503, headers: { "retry-after": "3000" } };
  await withLoop(setup, async () => {
    await setup.master.nextBeat();
    await waits.begun(2);
    assert.equal(waits.all[1], 3_000_000);
    for (const begun of [3, 4]) {
      waits.bell.ring();
      await waits.begun(begun);
    }
    const [, , third, fourth] = waits.all;
    assert.ok(third! < 3_000_000 && fourth! < third! && fourth! > 2_900_000, waits.all.join(" "));
    assert.equal(setup.master.beatCount, 1);
  }, waits);
});

Deno.test("runLoop() beats at once when its bell rings, though the last beat failed", async () => {
  await using setup = await AgentSetup.create();
  const waits = new Waits();
  setup.master.answer = [{ status: 500 }];
  await withLoop(setup, async () => {
    await setup.master.nextBeat();
    await waits.begun(2);
    waits.bell.ring();
    await setup.master.nextBeat(4_000);
  }, waits);
});

Deno.test("runLoop() makes no beat of a ring that comes with the stop, or after it", async () => {
  await using setup = await AgentSetup.create();
  const waits = new Waits();
  await withLoop(setup, async (stop) => {
    await setup.master.nextBeat();
    await waits.begun(2);
    waits.bell.ring();
    await stop();
    waits.bell.ring();
    assert.equal(waits.bell.take(), true);
    assert.equal(setup.master.beatCount, 1);
  }, waits);
  assert.equal(setup.master.beatCount, 1);
});

Deno.test("runLoop() makes one beat of a ring that comes while another waits for its turn", async () => {
  await using setup = await AgentSetup.create();
  const waits = new Waits();
  await withLoop(setup, async () => {
    await setup.master.nextBeat();
    waits.bell.ring();
    await setup.master.nextBeat();
    await waits.begun(3);
    waits.bell.ring();
    // The wait for its turn.
    await waits.begun(4);
    waits.bell.ring();
    await setup.master.nextBeat();
    await waits.begun(5);
    assert.equal(waits.rung[4], false, "there would be one more beat, to say the same");
  }, { ...waits, extraApartMs: 700 });
});
