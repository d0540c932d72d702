import assert from "node:assert/strict";
import { Bell } from "../agent/schedule.ts";
import { Applier } from "../apply/applier.ts";
import { withAgent } from "../tests/support/agent_setup.ts";
import { defaultImages } from "../topology/plan.ts";
import { TopologyService } from "./topology_service.ts";

const never = new AbortController().signal;

Deno.test("TopologyService hints at changes when it is no longer busy, also after a refusal", () =>
  withAgent(async (setup, agent) => {
    const bell = new Bell();
    const shared = { images: defaultImages, signal: never, log: () => {} };
    const applier = new Applier({
      ...shared,
      storePath: setup.storePath,
      sockets: [setup.engine.socketPath],
      supersede: false,
    });
    const service = new TopologyService({ ...shared, agent, applier, bell });
    const applied = service.apply({ topology: "nonsense" }, "0".repeat(64), never);
    assert.deepEqual([service.isBusy, bell.takeHint()], [true, false]);
    await assert.rejects(applied);
    assert.deepEqual([service.isBusy, bell.take(), bell.takeHint()], [false, false, true]);
  }));
