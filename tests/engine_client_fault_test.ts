import assert from "node:assert/strict";
import { Engine, EngineError } from "../docker/engine.ts";
import { container, type FakeEngine, type Fault } from "./engine/mod.ts";
import { failureOf, withClient } from "./engine_client.ts";
import { plannedNetwork } from "./sample_plan.ts";
import { scriptSocket } from "./scripted_socket.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

const never = new AbortController().signal;
const { request } = plannedNetwork("dmz");

/** Resolves when so many calls have come. */
async function arrived(engine: FakeEngine, count: number): Promise<void> {
  while (engine.requestCount < count) await new Promise((resolve) => setTimeout(resolve, 2));
}

/** Runs a test with a client of an engine that says `parts` on each connection. */
async function withScript(
  parts: Parameters<typeof scriptSocket>[1],
  test: (client: Engine) => Promise<void>,
): Promise<void> {
  using folder = new TemporaryFolder();
  await using _socket = scriptSocket(`${folder.path}/docker.sock`, parts);
  const client = new Engine(`${folder.path}/docker.sock`, never);
  try {
    await test(client);
  } finally {
    client.close();
  }
}

const loud: [fault: Fault, message: RegExp][] = [
  [{ kind: "reset" }, /: the (engine cut the connection.*|connection closed in the middle .*)$/],
  [{ kind: "reset", effect: "after" }, /: the (engine cut the connection.*|connection closed .*)$/],
  [{ kind: "garbage" }, /: the answer is not HTTP; is it the engine/],
  [{ kind: "truncated" }, /: the connection closed in the middle of an answer; the engine/],
];
for (const [fault, message] of loud) {
  for (const used of [false, true]) {
    const title = `${JSON.stringify(fault)} on a ${used ? "used" : "new"} connection`;
    Deno.test(`Engine fails at once, and goes on with another connection: ${title}`, () =>
      withClient(async (engine, client) => {
        if (used) await client.imageId("x");
        engine.fault = { ...fault, once: true };
        const error = await failureOf(client.createNetwork(request));
        assert.match(error.message, message);
        assert.ok(error.message.startsWith(`Docker at ${engine.socketPath}: `));
        assert.ok(!(error instanceof EngineError));
        await client.imageId("x");
        assert.equal(engine.connectionCount, 2);
      }));
  }
}

Deno.test("Engine gives up on a call in time, sooner on one that changes nothing", async () => {
  for (const kind of ["hang", "hang-body"] as const) {
    await withClient(async (engine, client) => {
      engine.fault = { kind };
      const [look, change] = await Promise.all([
        failureOf(client.imageId("x")),
        failureOf(client.createNetwork(request)),
      ]);
      assert.equal(
        look.message,
        `Docker at ${engine.socketPath}: no answer within 0.1 s; if that lasts, restart the engine`,
      );
      assert.equal(
        change.message,
        `Docker at ${engine.socketPath}: no answer within 0.2 s; if that lasts, restart the engine`,
      );
      engine.fault = undefined;
      assert.equal(await client.imageId("x"), null);
    }, { lookTimeoutMs: 100, changeTimeoutMs: 200 });
  }
});

Deno.test("Engine counts a call's time from when its turn has come", () =>
  withClient(async (engine, client) => {
    engine.latencyMs = 100;
    // One after the other they take three times as long as each of them may.
    await Promise.all(Array.from({ length: 15 }, () => client.imageId("x")));
  }, { parallelCalls: 1, lookTimeoutMs: 500 }));

Deno.test("Engine says why it cannot connect", async () => {
  using folder = new TemporaryFolder();
  const client = new Engine(`${folder.path}/none.sock`, never);
  const { message } = await failureOf(client.list());
  assert.match(message, /^Docker at \S+\/none\.sock: no such socket; is the engine installed/);
});

Deno.test("Engine does not go on with a connection that the engine is about to close", () => {
  const answer = "HTTP/1.1 404 Not Found\r\nConnection: Close\r\nContent-Length: 2\r\n\r\n{}";
  return withScript([{ text: answer }], async (client) => {
    // On the first connection there would be no second answer.
    assert.equal(await client.imageId("x"), null);
    assert.equal(await client.imageId("x"), null);
  });
});

Deno.test("Engine waits until somebody else has removed a container", async () => {
  const id = "a".repeat(64);
  const refusal = `{"message":"removal of container ${id} is already in progress"}`;
  const answer = (status: number, body: string) =>
    `HTTP/1.1 ${status} x\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  const answers: [status: number, body: string, message: string | null][] = [
    [200, '{"StatusCode":137}', null],
    [404, '{"message":"No such container"}', null],
    [500, '{"message":"no"}', `POST /containers/${id}/wait was answered with 500 (no)`],
  ];
  for (const [status, body, message] of answers) {
    const parts = [
      { text: answer(409, refusal) },
      { afterMs: 30, text: answer(status, body) },
    ];
    await withScript(parts, async (client) => {
      const removal = client.removeContainer(id);
      if (message === null) await removal;
      else assert.equal((await failureOf(removal)).message, message);
    });
  }
  await withClient(async (engine, client) => {
    const removing = container({ name: "web", state: "removing" });
    engine.containers = [removing];
    engine.fault = {
      kind: "status",
      status: 404,
      message: "gone",
      path: `/containers/${removing.Id}/wait`,
    };
    await client.removeContainer(removing.Id);
    assert.equal(
      engine.changes[1]?.path,
      `/containers/${removing.Id}/wait?condition=removed`,
    );
    // Any other conflict is one.
    engine.fault = { kind: "status", status: 409, message: "some conflict" };
    const { message } = await failureOf(client.removeContainer("web"));
    assert.equal(message, "DELETE /containers/web was answered with 409 (some conflict)");
  });
});

Deno.test("Engine sends nothing more once it is called off, and lets the rest end", async () => {
  const stop = new AbortController();
  await withClient(async (engine, client) => {
    engine.latencyMs = 100;
    const calls = Array.from({ length: 5 }, () => client.imageId("x"));
    const later = calls.slice(2).map(failureOf);
    await arrived(engine, 2);
    stop.abort(new Error("called off"));
    assert.deepEqual(await Promise.all(calls.slice(0, 2)), [null, null]);
    for (const { message } of await Promise.all(later)) assert.equal(message, "called off");
    assert.equal((await failureOf(client.createNetwork(request))).message, "called off");
    assert.equal(engine.requestCount, 2);
  }, { parallelCalls: 2, signal: stop.signal });
});

Deno.test("Engine.close() ends what is under way, and what waits for its turn", () =>
  withClient(async (engine, client) => {
    await client.imageId("x");
    engine.fault = { kind: "hang" };
    const failures = Array.from({ length: 7 }, () => failureOf(client.imageId("x")));
    await arrived(engine, 3);
    client.close();
    const hungUp = `Docker at ${engine.socketPath}: the agent has hung up`;
    for (const { message } of await Promise.all(failures)) assert.equal(message, hungUp);
    assert.equal((await failureOf(client.list())).message, hungUp);
    assert.equal(engine.requestCount, 3);
    client.close();
  }, { parallelCalls: 2 }));

Deno.test("Engine.close() ends a call that is about to connect", () =>
  withClient(async (engine, client) => {
    const failure = failureOf(client.imageId("x"));
    client.close();
    await failure;
    assert.equal(engine.requestCount, 0);
  }));
