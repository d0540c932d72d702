import assert from "node:assert/strict";
import { call, names } from "./calls.ts";
import { type FakeEngine, type Fault, withEngine } from "./mod.ts";

const create = { method: "POST", path: "/networks/create", body: { Name: "lan" } };
const remove = { method: "DELETE", path: "/networks/lan", body: undefined };

/** The status of a call's answer, or `lost`. */
async function statusOf(engine: FakeEngine, step: typeof create | typeof remove) {
  const { method, path, body } = step;
  try {
    return (await call(engine.socketPath, method, path, body)).status;
  } catch {
    return "lost";
  }
}

const cases: [Fault, number | "lost"][] = [
  [{ kind: "reset" }, "lost"],
  [{ kind: "truncated" }, "lost"],
  [{ kind: "status", status: 500, message: "no" }, 500],
];
for (const [fault, expected] of cases) {
  for (const effect of [undefined, "before", "after"] as const) {
    Deno.test(`FakeEngine lets a change go wrong: ${fault.kind}, effect ${effect}`, () =>
      withEngine(async (engine) => {
        const kind: Fault = { ...fault, once: true, ...(effect ? { effect } : {}) };
        engine.fault = { ...kind, method: "POST" };
        assert.equal(await statusOf(engine, create), expected);
        assert.equal(engine.networks.length, effect === "after" ? 1 : 0);
        assert.equal(engine.fault, undefined);
        await statusOf(engine, create);

        engine.fault = { ...kind, method: "DELETE" };
        const count = engine.networks.length;
        const removed = await statusOf(engine, { ...remove, path: ref(engine) });
        assert.equal(removed, expected);
        assert.equal(engine.networks.length, effect === "after" ? count - 1 : count);
      }));
  }
}

function ref(engine: FakeEngine): string {
  return `/networks/${engine.networks[0]!.Id}`;
}

Deno.test("FakeEngine resets the connection after a change, in the middle of nothing", () =>
  withEngine(async (engine) => {
    for (
      const [request, count] of [
        [
          'POST /networks/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{"Name":"lan"}',
          1,
        ],
        ["DELETE /networks/lan HTTP/1.1\r\nHost: x\r\n\r\n", 0],
      ] as const
    ) {
      engine.fault = { kind: "reset", effect: "after", once: true };
      using connection = await Deno.connect({ transport: "unix", path: engine.socketPath });
      await connection.write(new TextEncoder().encode(request));
      await assert.rejects(async () => {
        while (await connection.read(new Uint8Array(100)) !== null) { /* up to the reset */ }
      }, Deno.errors.ConnectionReset);
      assert.equal(engine.networks.length, count);
    }
  }));

Deno.test("FakeEngine goes wrong once, with the method and the call it was told", () =>
  withEngine(async (engine) => {
    const refusal = { kind: "status", status: 503, message: "busy" } as const;
    engine.fault = {
      ...refusal,
      method: "DELETE",
      path: "/networks",
      afterRequests: 1,
      once: true,
    };
    assert.equal(await statusOf(engine, create), 201);
    assert.deepEqual(await names(engine, "/networks"), ["lan"]);
    assert.equal(await statusOf(engine, { ...remove, path: "/networks/x" }), 404);
    assert.equal(await statusOf(engine, { ...remove, path: "/v1.41/networks/lan" }), 503);
    assert.equal(await statusOf(engine, remove), 204);
  }));

Deno.test("FakeEngine makes the change of an answer that trickles", () =>
  withEngine(async (engine) => {
    engine.fault = { kind: "slow", bytesPerSecond: 100_000 };
    assert.equal(await statusOf(engine, create), 201);
    assert.equal(engine.networks.length, 1);
  }));
