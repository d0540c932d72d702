import assert from "node:assert/strict";
import { FakeEngine, listenWithoutAccepting, withEngine } from "./engine/mod.ts";
import { assertHealthy, failure, look, stock } from "./observation.ts";
import { scriptSocket } from "./scripted_socket.ts";

Deno.test("observe() reads an answer that trickles in within its time", () =>
  withEngine(async (engine) => {
    stock(engine);
    engine.fault = { kind: "slow", bytesPerSecond: 20_000 };
    await assertHealthy(engine.socketPath);
  }));

Deno.test("observe() gives each call its own time", () =>
  withEngine(async ({ socketPath }) => {
    const socket = `${socketPath}.scripted`;
    const answer = { afterMs: 1600, text: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]" };
    await using _script = scriptSocket(socket, [answer, answer]);
    const { engine } = await look(socket, { callTimeoutMs: 3000, timeoutMs: 60_000 });
    assert.ok(engine.latencyMs > 3000, `${engine.latencyMs} ms`);
  }));

Deno.test("observe() ends when its whole time is up, whatever the call has left", () =>
  withEngine(async (engine) => {
    for (const path of ["/networks", "/containers/json"]) {
      engine.fault = { kind: "hang", path };
      const options = { callTimeoutMs: 60_000, timeoutMs: 300 };
      // In words that stay the same from beat to beat, for each new one is logged.
      assert.equal(
        await failure(engine.socketPath, options),
        "no answer within 0.3 s; if that lasts, restart the engine",
      );
    }
  }));

Deno.test("observe() rejects at once when its signal is aborted, with the reason as cause", () =>
  withEngine(async (engine) => {
    stock(engine);
    for (const path of ["/networks", "/containers/json"]) {
      engine.fault = { kind: "hang", path };
      const stop = new AbortController();
      const failing = failure(engine.socketPath, { callTimeoutMs: 60_000 }, stop.signal);
      const before = engine.requestCount;
      while (engine.requestCount === before) await new Promise((resolve) => setTimeout(resolve, 5));
      stop.abort(new Error("told to stop"));
      assert.equal(await failing, "told to stop");
    }
    engine.fault = undefined;
    await assertHealthy(engine.socketPath);
  }));

Deno.test("observe() says that the time is up which its signal gives it", () =>
  withEngine(async (engine) => {
    engine.fault = { kind: "hang" };
    const options = { callTimeoutMs: 60_000 };
    const message = await failure(engine.socketPath, options, AbortSignal.timeout(100));
    assert.equal(message, "no answer in time; if that lasts, restart the engine");
  }));

Deno.test("observe() rejects at once when its signal is aborted while it connects", () =>
  withEngine(async (engine) => {
    engine.fault = { kind: "hang" };
    const stop = new AbortController();
    const failing = failure(engine.socketPath, { callTimeoutMs: 60_000 }, stop.signal);
    stop.abort(new Error("told to stop"));
    assert.equal(await failing, "told to stop");
  }));

Deno.test("observe() does not even connect when its signal is aborted already", () =>
  withEngine(async (engine) => {
    const message = await failure(engine.socketPath, {}, AbortSignal.abort(new Error("too late")));
    assert.equal(message, "too late");
    await assert.rejects(look(engine.socketPath, {}, AbortSignal.abort()), {
      message: /aborted/,
    });
    assert.equal(engine.connectionCount, 0);
  }));

Deno.test("observe() says what is wrong with a socket that cannot be used", () =>
  withEngine(async ({ socketPath }) => {
    const missing = `${socketPath}.missing`;
    assert.equal(await failure(missing), "no such socket; is the engine installed, and running?");
    assert.equal(
      await failure(`${missing}/x`),
      "no such socket; is the engine installed, and running?",
    );

    const plainFile = `${socketPath}.txt`;
    await Deno.writeTextFile(plainFile, "");
    assert.equal(await failure(plainFile), "nobody listens; start the engine");
    assert.match(await failure(`${plainFile}/x`), /not a directory/i);
    assert.match(await failure(`/tmp/${"long".repeat(50)}`), /path must be shorter/);

    const dead = `${socketPath}.dead`;
    const listener = Deno.listen({ transport: "unix", path: `${dead}.first` });
    await Deno.rename(`${dead}.first`, dead);
    listener.close();
    assert.equal(await failure(dead), "nobody listens; start the engine");
  }));

Deno.test("observe() gives up on an engine that does not accept", () =>
  withEngine(async ({ socketPath }) => {
    const socket = `${socketPath}.deaf`;
    using _listener = listenWithoutAccepting(socket);
    assert.equal(
      await failure(socket, { callTimeoutMs: 300 }),
      "no answer within 0.3 s; if that lasts, restart the engine",
    );
  }));

Deno.test("observe() fails at once when the engine's queue of connections is full", () =>
  withEngine(async ({ socketPath }) => {
    const socket = `${socketPath}.deaf`;
    using _listener = listenWithoutAccepting(socket);
    const waiting: Deno.Conn[] = [];
    try {
      await assert.rejects(async () => {
        for (;;) waiting.push(await Deno.connect({ transport: "unix", path: socket }));
      }, Deno.errors.WouldBlock);
      assert.equal(await failure(socket), "its queue is full; the engine hangs, restart it");
    } finally {
      for (const connection of waiting) connection.close();
    }
  }));

Deno.test("observe() sees an engine go, come back, and hang in between", () =>
  withEngine(async (engine) => {
    const path = engine.socketPath;
    stock(engine);
    await assertHealthy(path);
    await engine.stop();
    assert.match(await failure(path), /no such socket/);
    {
      using _listener = listenWithoutAccepting(path);
      assert.match(await failure(path, { callTimeoutMs: 300 }), /no answer/);
    }
    await using second = await FakeEngine.start(path);
    stock(second);
    await assertHealthy(path);
  }));
