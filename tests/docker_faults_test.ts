/** What the agent and `--once` say of an engine at fault, and that both get over it. */

import assert from "node:assert/strict";
import type { TopologyReport } from "../agent/beat.ts";
import { AgentSetup } from "./agent_setup.ts";
import { flagsOf, runOn } from "./command_line.ts";
import { rows } from "./docker_fault_rows.ts";
import type { Trouble } from "./docker_troubles.ts";
import type { Fault } from "./engine/mod.ts";
import { consistent } from "./sample_beat.ts";

/** What runs when the engine is well. */
const well = {
  bridges: ["decnet_t_11111111_lan-00"],
  containers: ["decnet_t_11111111_decky-001", "decnet_t_11111111_decky-001-ssh"],
};
/** What the master is told of a host. */
type Told = Pick<TopologyReport, "observed" | "drift">;

for (const { what, trouble, error, onceError = error } of rows) {
  Deno.test(`a beat and --once tell of an engine that ${what}, and get over it`, async () => {
    await using setup = await AgentSetup.create();
    await using atLast = new AsyncDisposableStack();
    setup.apply();
    const agent = setup.newAgent();
    atLast.defer(() => agent.close());
    /** A beat and a check at once; what came of the check, and what the master got of both. */
    const look = async () => {
      const [, once] = await Promise.all([
        agent.beat(new AbortController().signal),
        runOn(["--once", ...flagsOf(setup)]),
      ]);
      const told = setup.master.beats.splice(0).map(({ body }) => {
        const { observed, drift } = (body as { topology: Told }).topology;
        return { observed, drift };
      });
      return { once, told };
    };

    const mend = await bring(trouble, setup, atLast);
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

    await mend();
    const after = await look();
    assert.deepEqual(after.told, Array(2).fill({ observed: well, drift: consistent }));
    assert.equal(after.once.code, 0, after.once.stdout);
  });
}

/** Brings trouble; the answer ends it. */
async function bring(
  trouble: Fault | Trouble,
  setup: AgentSetup,
  atLast: AsyncDisposableStack,
): Promise<() => Promise<void> | void> {
  if (typeof trouble === "function") return await trouble(setup, atLast);
  setup.engine.fault = trouble;
  return () => {
    setup.engine.fault = undefined;
  };
}
