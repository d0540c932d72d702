import assert from "node:assert/strict";
import { freePort } from "../tests/support/environment.ts";
import { startMaster } from "../tests/support/master_setup.ts";
import { SwallowingProxy } from "../tests/support/swallowing_proxy.ts";
import { connectionError, connectToFirst } from "./connection.ts";

const limits = { timeoutMs: 5_000, signal: new AbortController().signal };

Deno.test("M22 connectToFirst() leaves an address its time when another fails", async () => {
  await using master = await startMaster();
  for (const addresses of [["127.0.0.1"], ["127.0.0.2", "127.0.0.1"], ["127.0.0.1", "127.0.0.2"]]) {
    await using proxy = await SwallowingProxy.slow(master.port);
    const startedAt = performance.now();
    const socket = await connectToFirst(addresses, proxy.port, limits);
    assert.equal(socket.remoteAddress, "127.0.0.1");
    assert.ok(performance.now() - startedAt > 500);
    socket.destroy();
  }
});

Deno.test("connectToFirst() does not wait for an address that is silent", async () => {
  await using master = await startMaster();
  await using proxy = await SwallowingProxy.slow(master.port);
  await using other = Deno.listen({ hostname: "127.0.0.2", port: proxy.port });
  const startedAt = performance.now();
  const socket = await connectToFirst(["127.0.0.1", "127.0.0.2"], proxy.port, limits);
  assert.equal(socket.remoteAddress, "127.0.0.2");
  assert.ok(performance.now() - startedAt < 800);
  socket.destroy();
  (await other.accept()).close();
});

Deno.test("connectToFirst() fails when the last address has, or with the time", async () => {
  const port = freePort();
  const refused = "connection refused; start it, or see swarmctl-port";
  for (const addresses of [["127.0.0.1"], ["127.0.0.1", "127.0.0.2"], ["::1", "127.0.0.1"]]) {
    await assert.rejects(connectToFirst(addresses, port, limits), {
      reason: "connection-refused",
      message: refused,
    });
  }
  await using proxy = await SwallowingProxy.slow(port);
  const short = { ...limits, timeoutMs: 300.4321 };
  for (const addresses of [["127.0.0.1"], ["127.0.0.2", "127.0.0.1"]]) {
    await assert.rejects(connectToFirst(addresses, proxy.port, short), {
      reason: "no-connection",
      message: /^no connection within 0\.3 s; see master-host, /,
    });
  }
  const { signal } = new AbortController();
  await assert.rejects(connectToFirst([], port, { timeoutMs: 100, signal }), /no connection/);
});

Deno.test("connectionError() always has a text, and of several the most telling", () => {
  const coded = (code: string, message = "") => Object.assign(new Error(message), { code });
  const several = (...errors: unknown[]) => new AggregateError(errors);
  const cases: [cause: unknown, reason: string, text: string | RegExp][] = [
    [new Error(), "other", "Error"],
    [new TypeError(), "other", "TypeError"],
    [coded("EWHAT"), "other", "Error (EWHAT)"],
    [coded("EOTHER", "the message"), "other", "the message (EOTHER)"],
    [coded("ENOTFOUND"), "unresolved-name", /^its name cannot be resolved; see master-host, and/],
    [coded("ECONNRESET"), "closed", /^it closed the connection before it answered; it may not/],
    [coded("EPIPE"), "closed", /may not accept worker\.crt$/],
    [new DOMException("Signal timed out.", "TimeoutError"), "timeout", "no answer in time"],
    ["a text", "other", "a text"],
    [several(), "other", "AggregateError"],
    [Object.assign(several(), { code: "ETIMEDOUT" }), "other", "AggregateError (ETIMEDOUT)"],
    [several(coded("ENETUNREACH"), coded("ECONNREFUSED")), "connection-refused", /refused/],
    [several(coded("ECONNREFUSED"), coded("EHOSTUNREACH")), "connection-refused", /refused/],
    [several(coded("ENETUNREACH"), coded("EHOSTUNREACH")), "no-route", /no route to host/],
    [several(coded("ENETUNREACH"), new Error("", {})), "other", "Error"],
    [several(several(coded("ENETUNREACH")), several()), "other", "AggregateError"],
  ];
  for (const [cause, reason, text] of cases) {
    const error = connectionError(cause);
    assert.equal(error.reason, reason, String(cause));
    if (typeof text === "string") assert.equal(error.message, text);
    else assert.match(error.message, text);
  }
});
