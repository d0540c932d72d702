import assert from "node:assert/strict";
import { type Beat, runLoop } from "../agent/mod.ts";
import { createLog } from "../host/mod.ts";
import { AgentSetup } from "./agent_setup.ts";
import { container } from "./engine/mod.ts";
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
