import assert from "node:assert/strict";
import { runLoop } from "../agent/mod.ts";
import { createLog } from "../host/mod.ts";
import { AgentSetup } from "./agent_setup.ts";
import { FaultyHost } from "./master_fault_setup.ts";

/** What the master does at a beat: it answers, has a fault of its own, cuts off, or is down. */
type Turn = "well" | "busy" | "cut" | "down";

interface Course {
  /** The time before each beat but the first, in milliseconds. */
  readonly waitsMs: number[];
  readonly results: string[];
  /** The failures that the log has counted; 0 for each return. */
  readonly written: number[];
}

async function flap(turns: readonly Turn[]): Promise<Course> {
  await using setup = await AgentSetup.create();
  const host = new FaultyHost(setup, setup.master);
  await host.heal();
  const agent = setup.newAgent();
  const course: Course = { waitsMs: [], results: [], written: [] };
  let next = 0;
  let isDown = false;
  try {
    await runLoop(agent, new AbortController().signal, {
      intervalMs: 30_000,
      log: createLog((line) => {
        const [, level, failures] = line.match(/^level=(\w+) .* failures=(\d+)\n$/)!;
        course.written.push(level === "info" ? 0 : Number(failures));
      }),
      onBeat: ({ delivery }) => course.results.push(delivery.result),
      random: () => 0.5,
      wait: async (ms) => {
        if (next > 0) course.waitsMs.push(ms);
        const turn = turns[next++];
        if (turn === "down" && !isDown) await host.master.stop();
        if (turn !== "down" && isDown) await host.heal();
        isDown = turn === "down";
        host.master.answer = turn === "busy"
          ? { status: 503 }
          : turn === "cut"
          ? { kind: "reset" }
          : { status: 204 };
        return turn !== undefined;
      },
    });
  } finally {
    agent.close();
    await host.master.stop();
  }
  return course;
}

Deno.test("the agent tells each failure and each return of a master that comes and goes, once", async () => {
  const turns: Turn[] = ["busy", "well", "cut", "well", "down", "well", "well", "cut", "well"];
  const { waitsMs, results, written } = await flap(turns);
  const expected = { well: "delivered", busy: "rejected", cut: "unreachable", down: "unreachable" };
  assert.deepEqual(results, turns.map((turn) => expected[turn]));
  assert.deepEqual(written, [1, 0, 1, 0, 1, 0, 1, 0]);
  // After one failure in a row it comes back sooner than usual, and not at once.
  for (const [index, turn] of turns.entries()) {
    const ms = waitsMs[index]!;
    if (turn === "well") assert.ok(ms > 20_000 && ms <= 30_000, String(ms));
    else assert.equal(ms, 7_500);
  }
});

Deno.test("the agent writes ever less of a master that mostly fails, and backs off up to 5 min", async () => {
  const down: Turn[] = Array(9).fill("down");
  const { waitsMs, written } = await flap([...down, "well", "cut", "busy", "down", "well"]);
  assert.deepEqual(written, [1, 2, 4, 8, 0, 1, 2, 0]);
  assert.deepEqual(
    waitsMs.slice(0, 9),
    [7.5, 12.5, 22.5, 42.5, 82.5, 152.5, 152.5, 152.5, 152.5].map((s) => s * 1_000),
  );
  assert.deepEqual(waitsMs.slice(10, 13), [7_500, 12_500, 22_500]);
});
