import assert from "node:assert/strict";
import { exchange, names, withStock } from "./calls.ts";
import type { Fault } from "./mod.ts";

const faults: [Fault, "closed" | "reset" | "silent", RegExp][] = [
  [{ kind: "hang" }, "silent", /^$/],
  [
    { kind: "hang-body" },
    "silent",
    /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\n[^]*"Name":"bridge"[^]*[^\n]$/,
  ],
  [{ kind: "reset" }, "reset", /^HTTP\/1\.1 200 OK\r\nApi-Ver$/],
  [{ kind: "garbage" }, "silent", /^(?!HTTP)[^]{512}$/],
  [{ kind: "truncated" }, "closed", /Content-Length: [^]*\]\n$/],
  [{ kind: "truncated", chunked: true }, "closed", /chunked[^]*\]\n$/],
  [
    { kind: "status", status: 500, message: "no" },
    "closed",
    /^HTTP\/1\.1 500 [^]*\{"message":"no"\}\n$/,
  ],
  [{ kind: "body", body: "7" }, "closed", /^HTTP\/1\.1 200 OK[^]*\r\n\r\n7$/],
  [{ kind: "slow", bytesPerSecond: 100 }, "silent", /^HTTP[^]{1,60}$/],
];
for (const [fault, expectedEnd, expectedText] of faults) {
  const { kind, ...rest } = fault;
  Deno.test(`FakeEngine goes wrong: ${kind} ${JSON.stringify(rest)}`, () =>
    withStock(async (engine) => {
      engine.fault = fault;
      const { end, text } = await exchange(
        engine,
        ["/networks"],
        expectedEnd === "silent" ? 500 : 5000,
      );
      assert.equal(end, expectedEnd);
      assert.match(text, expectedText);
    }));
}

Deno.test("FakeEngine streams a huge list", () =>
  withStock(async (engine) => {
    engine.fault = { kind: "huge", bytes: 1_000_000 };
    using client = Deno.createHttpClient({ proxy: { transport: "unix", path: engine.socketPath } });
    const text = await (await fetch("http://localhost/networks", { client })).text();
    assert.equal(text.length, 1_000_000);
    assert.ok(JSON.parse(text).length > 500);
  }));

Deno.test("FakeEngine goes wrong at the path and the call it was told", () =>
  withStock(async (engine) => {
    engine.fault = {
      kind: "status",
      status: 404,
      message: "lost",
      path: "/networks",
      afterRequests: 1,
    };
    assert.equal((await names(engine, "/networks")).length, 3);
    assert.equal((await names(engine, "/containers/json")).length, 3);
    assert.deepEqual(await names(engine, "/v1.41/networks"), ["lost"]);
    engine.fault = undefined;
    assert.equal((await names(engine, "/networks")).length, 3);
  }));
