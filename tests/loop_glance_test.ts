import assert from "node:assert/strict";
import { type Beat, runLoop } from "../agent/mod.ts";
import { createLog } from "../host/mod.ts";
import { AgentSetup } from "./agent_setup.ts";
import { container, listenWithoutAccepting } from "./engine/mod.ts";
import type { MasterAnswer } from "./tls_master.ts";

const kept: [what: string, answer: MasterAnswer][] = [
  ["has asked for a pause", { status: 429, headers: { "retry-after": "600" } }],
  ["fails", { status: 500 }],
];

for (const [what, answer] of kept) {
  Deno.test(`runLoop() tells here what becomes of the host while a master ${what}`, async () => {
    await using setup = await AgentSetup.create();
    setup.master.answer = answer;
    const lines: string[] = [];
    const seen: Beat[] = [];
    const stop = new AbortController();
    const agent = setup.newAgent();
    const steps = [
      () => setup.engine.containers = [container({ name: "decnet-x" })],
      () => setup.engine.containers = [],
    ];
    await runLoop(agent, AbortSignal.any([stop.signal, AbortSignal.timeout(20_000)]), {
      intervalMs: 20,
      // The longest backoff is far longer than the test.
      random: () => 0.99,
      log: createLog((line) => lines.push(line.trimEnd())),
      onGlance: (beat) => {
        seen.push(beat);
        if (seen.length % 2 === 0 && steps.length === 0) stop.abort();
        else steps.shift()?.();
      },
    });
    agent.close();
    assert.deepEqual(lines.filter((line) => line.includes("drift")), [
      'level=warn msg="unexpected decnet-x (running)" subject=drift',
      'level=info msg="there is no drift any more"',
    ]);
    assert.equal(setup.master.beatCount, 1);
    assert.equal(lines.filter((line) => line.includes("subject=master")).length, 1);
    assert.ok(seen.every(({ delivery }) => delivery.result === "rejected"));
  });
}

Deno.test("runLoop() goes on when a look fails while a master has asked for a pause", async () => {
  await using setup = await AgentSetup.create();
  setup.master.answer = { status: 429, headers: { "retry-after": "600" } };
  const lines: string[] = [];
  const stop = new AbortController();
  const agent = setup.newAgent();
  let glances = 0;
  await runLoop(agent, AbortSignal.any([stop.signal, AbortSignal.timeout(20_000)]), {
    intervalMs: 20,
    log: createLog((line) => lines.push(line.trimEnd())),
    onGlance: () => {
      if (++glances > 1) stop.abort();
      else throw new Error("nobody foresaw this");
    },
  });
  agent.close();
  assert.equal(glances, 2);
  const failures = lines.filter((line) => line.includes("level=error"));
  assert.deepEqual(failures, [
    'level=error msg="a look at the host failed: nobody foresaw this"',
  ]);
});

Deno.test("runLoop() gives up a look that hangs when a beat is called for, and says nothing of it", async () => {
  await using setup = await AgentSetup.create();
  setup.master.answer = { status: 429, headers: { "retry-after": "1" } };
  using _hung = listenWithoutAccepting(`${setup.path}/hung.sock`);
  const sockets = [setup.engine.socketPath];
  const phases: string[] = [];
  const lines: string[] = [];
  const stop = new AbortController();
  const agent = setup.newAgent({ sockets });
  let beats = 0;
  await runLoop(agent, AbortSignal.any([stop.signal, AbortSignal.timeout(20_000)]), {
    intervalMs: 200,
    log: createLog((line) => lines.push(line.trimEnd())),
    onWork: (phase) => phases.push(phase),
    onBeat: () => {
      sockets[0] = `${setup.path}/hung.sock`;
      if (++beats === 2) stop.abort();
    },
  });
  agent.close();
  assert.equal(beats, 2);
  // A beat, a look that is given up, the next beat: never two at a time.
  assert.deepEqual(phases, ["begin", "end", "begin", "end", "begin", "end"]);
  assert.deepEqual(lines.filter((line) => line.includes("aborted")), []);
});

Deno.test("runLoop() does not look while a master keeps it waiting and it changes the host itself", async () => {
  await using setup = await AgentSetup.create();
  setup.master.answer = { status: 429, headers: { "retry-after": "1" } };
  const stop = new AbortController();
  const agent = setup.newAgent();
  let [beats, glances] = [0, 0];
  await runLoop(agent, AbortSignal.any([stop.signal, AbortSignal.timeout(20_000)]), {
    intervalMs: 20,
    log: () => {},
    isBusy: () => true,
    onGlance: () => glances++,
    onBeat: () => {
      if (++beats === 2) stop.abort();
    },
  });
  agent.close();
  assert.deepEqual([beats, glances], [2, 0]);
});
