import assert from "node:assert/strict";
import { standInOptions } from "../tests/support/topology.ts";
import { Wakeup } from "../agent/schedule.ts";
import { Applier } from "../apply/applier.ts";
import { withAgent } from "../tests/support/agent_setup.ts";
import { TopologyService } from "./topology_service.ts";

const never = new AbortController().signal;

Deno.test("TopologyService requests a check after each apply, also a refused one", () =>
  withAgent(async (setup, agent) => {
    const wakeup = new Wakeup();
    const shared = { planOptions: standInOptions, signal: never, log: () => {} };
    const applier = new Applier({
      ...shared,
      storePath: setup.storePath,
      sockets: [setup.engine.socketPath],
      master: null,
      listen: null,
      supersede: false,
    });
    const service = new TopologyService({ ...shared, agent, applier, wakeup });
    const applied = service.apply({ topology: "nonsense" }, "0".repeat(64), {
      address: "127.0.0.1",
      clientSignal: never,
    });
    assert.deepEqual([service.isBusy, wakeup.takeCheckRequest()], [true, false]);
    await assert.rejects(applied);
    assert.deepEqual([service.isBusy, wakeup.takeSendRequest(), wakeup.takeCheckRequest()], [
      false,
      false,
      true,
    ]);
  }));
