import assert from "node:assert/strict";
import { call, withEngine } from "./client.ts";
import type { Fault } from "./faults.ts";
import { container } from "./state.ts";

// A real engine is the measure of its answers and events: tests/engines/stand_in_test.ts.

const changingFaults: [Fault, status: number | null][] = [
  [{ kind: "reset" }, null],
  [{ kind: "truncated" }, null],
  [{ kind: "status", status: 500, message: "no" }, 500],
];
for (const [fault, expected] of changingFaults) {
  for (const effect of ["before", "after"] as const) {
    Deno.test(`FakeEngine lets a change go wrong: ${fault.kind}, effect ${effect}`, () =>
      withEngine(async (engine) => {
        const send = async (method: string, path: string, body?: object) => {
          const answer = call(engine.socketPath, method, path, body);
          return (await answer.catch(() => null))?.status ?? null;
        };
        const create = () =>
          send("POST", "/networks/create", { Name: "lan", CheckDuplicate: true });
        engine.fault = { ...fault, effect, once: true, method: "POST", afterRequests: 1 };
        assert.equal(await send("POST", "/containers/x/start"), 404);
        assert.equal(await create(), expected);
        assert.equal(engine.fault, undefined);
        assert.equal(await create(), effect === "after" ? 409 : 201);
        engine.fault = { ...fault, effect, once: true, method: "DELETE", path: "/networks" };
        assert.equal(await send("DELETE", "/networks/lan"), expected);
        assert.equal(await send("DELETE", "/networks/lan"), effect === "after" ? 404 : 204);
        assert.equal(engine.changes.length, 5);
      }));
  }
}

Deno.test("FakeEngine leaves a test's arrays alone", () =>
  withEngine(async (engine) => {
    const containers = ["web", "gone"].map((name) => container({ name }));
    const before = JSON.stringify(containers);
    engine.containers = containers;
    for (const { Id } of containers) {
      await call(engine.socketPath, "DELETE", `/containers/${Id}?force=1`);
    }
    assert.deepEqual(engine.containers, []);
    assert.equal(JSON.stringify(containers), before);
  }));
