import assert from "node:assert/strict";
import { type Fault, withEngine } from "./engine/mod.ts";
import { assertHealthy, failure, look, stock } from "./observation.ts";

/** Faults that are seen only when the time is up, and those that are seen at once. */
const silent: Fault[] = [
  { kind: "hang" },
  { kind: "hang-body" },
  { kind: "slow", bytesPerSecond: 100 },
];
const loud: [fault: Fault, message: RegExp][] = [
  [{ kind: "reset" }, /^the (engine cut the connection|connection closed)/],
  [{ kind: "garbage" }, /^the answer is not HTTP; is it the engine that listens there\?$/],
  [{ kind: "truncated" }, /^the connection closed in the middle of an answer; the engine's log/],
  [
    { kind: "truncated", chunked: true },
    /^the connection closed in the middle of an answer; the engine's log/,
  ],
  [
    { kind: "status", status: 500, message: "layer does not exist" },
    /^GET \/(networks|containers\/json) was answered with 500 \(layer does not exist\)$/,
  ],
  [{ kind: "status", status: 404, message: "page not found" }, / 404 \(page not found\)$/],
  [{ kind: "status", status: 400, message: "client is too old" }, / 400 \(client is too old\)$/],
  [{ kind: "status", status: 503, message: " " }, / was answered with 503$/],
  [
    { kind: "body", body: "" },
    /^GET \/\S+ was answered with something that is not JSON; is it the engine/,
  ],
  [
    { kind: "body", body: "<html>" },
    /^GET \/\S+ was answered with something that is not JSON; is it the engine/,
  ],
  [
    { kind: "body", body: "[{" },
    /^GET \/\S+ was answered with something that is not JSON; is it the engine/,
  ],
  [{ kind: "body", body: "null" }, /^(networks|containers): not a list$/],
  [{ kind: "body", body: '{"message":"no"}' }, /^(networks|containers): not a list$/],
  [{ kind: "body", body: '[{"Name":7}]' }, /^(network|container) 0: Id: not a text$/],
];

for (const path of ["/networks", "/containers/json"]) {
  for (const fault of silent) {
    Deno.test(`observe() gives up when ${path} goes wrong: ${show(fault)}`, () =>
      withEngine(async (engine) => {
        stock(engine);
        engine.fault = { ...fault, path };
        const message = await failure(engine.socketPath, { callTimeoutMs: 300 });
        assert.equal(message, "no answer within 0.3 s; if that lasts, restart the engine");
        engine.fault = undefined;
        await assertHealthy(engine.socketPath);
      }));
  }

  for (const [fault, expected] of loud) {
    Deno.test(`observe() fails at once when ${path} goes wrong: ${show(fault)}`, () =>
      withEngine(async (engine) => {
        stock(engine);
        engine.fault = { ...fault, path };
        assert.match(await failure(engine.socketPath), expected);
        engine.fault = undefined;
        await assertHealthy(engine.socketPath);
      }));
  }

  Deno.test(`observe() refuses 50 MB of ${path}`, () =>
    withEngine(async (engine) => {
      stock(engine);
      engine.fault = { kind: "huge", bytes: 50_000_000, path };
      await assert.rejects(
        look(engine.socketPath, { callTimeoutMs: 60_000, timeoutMs: 60_000 }),
        /: the answer is larger than 32 MiB; remove containers that nobody needs$/,
      );
      engine.fault = undefined;
      await assertHealthy(engine.socketPath);
    }));

  Deno.test(`observe() keeps a long refusal of ${path} short`, () =>
    withEngine(async (engine) => {
      engine.fault = { kind: "status", status: 500, message: `x${"🙂".repeat(5000)}`, path };
      const message = await failure(engine.socketPath);
      assert.ok(message.length < 300 && message.isWellFormed(), message);
    }));
}

function show({ kind, ...rest }: Fault): string {
  return [kind, ...Object.values(rest)].join(" ").trim();
}
