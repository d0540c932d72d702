import assert from "node:assert/strict";
import { scriptSocket } from "../tests/support/answer_streams.ts";
import type { FakeEngine } from "../tests/support/engine/fake_engine.ts";
import type { Fault } from "../tests/support/engine/faults.ts";
import { container, type ContainerItem, network } from "../tests/support/engine/state.ts";
import { failureOf, withClient } from "../tests/support/engine_client.ts";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { plannedContainer, plannedNetwork } from "../tests/support/plan.ts";
import { imageLabel } from "../topology/inventory.ts";
import type { PlannedContainer } from "../topology/plan.ts";
import { Engine } from "./engine.ts";
import { EngineError } from "./errors.ts";

/** The changing calls in short; ids are cut to eight digits. */
function changesOf({ changes }: FakeEngine): string[] {
  return changes.map(({ method, path }) =>
    `${method} ${path.replace(/[0-9a-f]{64}/, (id) => id.slice(0, 8))}`
  );
}

Deno.test("Engine.list() lists all, and images for labels that may be theirs", () =>
  withClient(async (engine, client) => {
    const labels = { "decnet.topology.id": "1" };
    engine.images.add("labelled:1", undefined, labels);
    const others = [
      container({ name: "plain", image: "labelled:1", state: "exited" }),
      container({ name: "ours", labels: { ...labels, [imageLabel]: "sha256:1" } }),
    ];
    engine.networks = [network({ name: "any", subnet: "10.0.0.0/24" })];
    engine.containers = others;
    assert.deepEqual((await client.list()).networks.map(({ name }) => name), ["any"]);
    assert.equal(engine.requestCount, 2);
    engine.images.delete("gone:1");
    engine.containers = [
      container({ name: "theirs", image: "labelled:1", labels }),
      container({ name: "old", image: "plain:1", labels }),
      // Its labels may all have come with its image.
      container({ name: "of a removed image", image: "gone:1", labels }),
      ...others,
    ];
    const { containers } = await client.list();
    assert.equal(engine.requestCount, 5);
    assert.equal(engine.requests[4]!.path, "/images/json?all=1");
    assert.deepEqual(
      containers.map(({ name, imageLabels }) => [name, imageLabels?.get("decnet.topology.id")]),
      [
        ["theirs", "1"],
        ["old", undefined],
        ["of a removed image", "1"],
        ["plain", undefined],
        ["ours", undefined],
      ],
    );
  }));

Deno.test("Engine.imageId() returns null only for an image that is absent", () =>
  withClient(async (engine, client) => {
    engine.images = ["here:1"];
    assert.equal(await client.imageId("here:1"), engine.images.find("here:1"));
    assert.equal(await client.imageId("absent/image:1"), null);
    engine.fault = { kind: "status", status: 500, message: "no" };
    const error = await failureOf(client.imageId("here:1"));
    assert.equal(error.message, "GET /images/here:1/json was answered with 500 (no)");
    engine.fault = { kind: "body", body: "{}" };
    assert.equal((await failureOf(client.imageId("here:1"))).message, "image: Id: not a string");
  }));

Deno.test("Engine runs the allowed number of calls in parallel, others in order", async () => {
  for (const [options, bound] of [[{ parallelCalls: 3 }, 3], [{}, 8]] as const) {
    await withClient(async (engine, client) => {
      engine.latencyMs = 20;
      await Promise.all(Array.from({ length: 30 }, () => client.imageId("x")));
      // A connection has one call at a time.
      assert.equal(engine.connectionCount, bound);
      assert.equal(engine.requestCount, 30);
    }, options);
  }
  await withClient(async (engine, client) => {
    const names = Array.from({ length: 12 }, (_, index) => `image-${index}`);
    await Promise.all(names.map((name) => client.imageId(name)));
    const paths = names.map((name) => `/images/${name}/json`);
    assert.deepEqual(engine.requests.map(({ path }) => path), paths);
  }, { parallelCalls: 1 });
});

/** A planned container with the image `base`. */
function withImage(short: string): PlannedContainer {
  const planned = plannedContainer(short);
  return { ...planned, request: { ...planned.request, Image: "base" } };
}

Deno.test("Engine attaches a container to all its networks before its start", () =>
  withClient(async (engine, client) => {
    engine.images = ["base"];
    const planned = withImage("web");
    const { name, request, addressByNetwork } = planned;
    for (const lan of ["dmz", "inner"]) await client.createNetwork(plannedNetwork(lan).request);
    const id = await client.createContainer(planned, "sha256:1");
    await client.change(planned, id, "start");
    const [first, second] = addressByNetwork.keys();
    assert.deepEqual(changesOf(engine), [
      "POST /networks/create",
      "POST /networks/create",
      `POST /containers/create?name=${name}`,
      `POST /networks/${second}/connect`,
      `POST /containers/${id.slice(0, 8)}/start`,
    ]);
    const body = engine.bodyOf(name) as typeof request;
    assert.deepEqual(Object.keys(body.NetworkingConfig!.EndpointsConfig), [first]);
    assert.deepEqual(body.Labels, { ...request.Labels, [imageLabel]: "sha256:1" });
    const [made] = (await client.list()).containers;
    assert.deepEqual([made!.id, made!.state], [id, "running"]);
    assert.deepEqual(made!.addressByNetwork, addressByNetwork);
    // A service shares the network of its base.
    const service = withImage("web-ssh");
    await client.createContainer(service, "sha256:1");
    assert.deepEqual(changesOf(engine).slice(5), [`POST /containers/create?name=${service.name}`]);
  }));

Deno.test("Engine shows no value of a container that the engine's message repeats", () =>
  withClient(async (engine, client) => {
    const hiddenValues = new Map([["A_PASSWORD", "hunter2"], ["B_KEY", "line\nline"]]);
    const service = { ...withImage("web-ssh"), hiddenValues };
    const calls = [
      () => client.createContainer(service, "sha256:1"),
      () => client.change(service, "1", "start"),
    ];
    // Of a longer message only the start is kept: a value may lie across its end.
    for (const start of ["", "x".repeat(380)]) {
      const message = `${start} invalid: "hunter2", in ["A_PASSWORD=hunter2","B_KEY=line`;
      for (const call of calls) {
        engine.fault = { kind: "status", status: 400, message };
        const { message: shown } = await failureOf(call());
        assert.match(shown, /400 \(x* ?invalid: "•••/);
        assert.doesNotMatch(shown, /hunter|line/);
      }
    }
  }));

Deno.test("Engine.change() accepts a container that is in that state already", () =>
  withClient(async (engine, client) => {
    const states = { a: "exited", b: "running", c: "paused" } as const;
    engine.containers = Object.entries(states).map(([name, state]) => container({ name, state }));
    const web = plannedContainer("web");
    await client.change(web, "a", "start");
    await client.change(web, "a", "start");
    await client.change(web, "b", "restart");
    await client.change(web, "c", "unpause");
    assert.deepEqual(engine.containers.map(({ State }) => State), Array(3).fill("running"));
    assert.ok(changesOf(engine).includes("POST /containers/b/restart?t=0"));
  }));

Deno.test("Engine removes objects, and accepts missing ones", () =>
  withClient(async (engine, client) => {
    engine.networks = [network({ name: "lan" })];
    engine.containers = [container({ name: "web", addresses: { lan: "10.0.0.2" } })];
    const networkId = engine.networks[0]!.Id;
    const [{ Id: id, State: state }] = engine.containers as [ContainerItem];
    const inUse = await failureOf(client.removeNetwork(networkId));
    assert.match(
      inUse.message,
      /^DELETE \/networks\/[0-9a-f]{64} was answered with 403 \(error wh/,
    );
    for (let round = 0; round < 2; round++) await client.removeContainer({ id, state });
    for (let round = 0; round < 2; round++) await client.removeNetwork(networkId);
    assert.deepEqual([...engine.networks, ...engine.containers], []);
    const path = `/containers/${id.slice(0, 8)}`;
    assert.deepEqual(changesOf(engine).slice(1, 3), [
      `POST ${path}/stop?t=0`,
      `DELETE ${path}?force=1&v=1`,
    ]);
  }));

Deno.test("Engine throws EngineError, and keeps its connection", () =>
  withClient(async (engine, client) => {
    const { request } = plannedNetwork("dmz");
    const web = plannedContainer("web");
    await client.createNetwork(request);
    const cases: [call: () => Promise<unknown>, status: number, message: RegExp][] = [
      [() => client.createNetwork(request), 409, / 409 \(network with name \S+ already exists\)$/],
      [
        () => client.createContainer(web, "sha256:1"),
        404,
        /^POST \/containers\/create was answered with 404 \(No such image: debian:/,
      ],
    ];
    for (const [call, status, message] of cases) {
      const error = await failureOf(call());
      assert.ok(error instanceof EngineError);
      assert.equal(error.status, status);
      assert.match(error.message, message);
    }
    assert.equal(engine.connectionCount, 1);
  }));

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

Deno.test("Engine fails at once, and continues on another connection", async () => {
  const cases: [fault: Fault, message: RegExp][] = [
    [{ kind: "reset" }, /: connection (reset; .*|closed in the middle .*)$/],
    [{ kind: "reset", effect: "after" }, /: connection (reset; .*|closed in the middle .*)$/],
    [{ kind: "garbage" }, /: the answer is not HTTP; is this the engine/],
  ];
  const runs = cases.flatMap((it) => [true, false].map((isUsed) => [...it, isUsed] as const));
  for (const [fault, message, isUsed] of runs) {
    await withClient(async (engine, client) => {
      if (isUsed) await client.imageId("x");
      engine.fault = { ...fault, once: true };
      const error = await failureOf(client.createNetwork(request));
      assert.match(error.message, message);
      assert.ok(error.message.startsWith(`Docker at ${engine.socketPath}: `));
      assert.ok(error instanceof EngineError && error.status === null);
      await client.imageId("x");
      assert.equal(engine.connectionCount, 2);
    });
  }
});

Deno.test("Engine has one timeout for reads and a longer one for changes", async () => {
  for (const kind of ["hang", "hang-body"] as const) {
    await withClient(async (engine, client) => {
      engine.fault = { kind };
      const failures = [client.imageId("x"), client.createNetwork(request)].map(failureOf);
      const messages = (await Promise.all(failures)).map(({ message }) => message);
      const expected = ["0.1", "0.2"].map((seconds) =>
        `Docker at ${engine.socketPath}: no answer within ${seconds} s; ` +
        "if this continues, restart the engine"
      );
      assert.deepEqual(messages, expected);
      engine.fault = undefined;
      assert.equal(await client.imageId("x"), null);
    }, { readTimeoutMs: 100, changeTimeoutMs: 200 });
  }
});

Deno.test("Engine counts a call's time from when its turn has come", () =>
  withClient(async (engine, client) => {
    engine.latencyMs = 100;
    // One after the other they take three times as long as each of them may.
    await Promise.all(Array.from({ length: 15 }, () => client.imageId("x")));
  }, { parallelCalls: 1, readTimeoutMs: 500 }));

Deno.test("Engine does not use a connection again that the engine closes", async () => {
  for (const head of ["HTTP/1.1 404 Not Found\r\nConnection: close", "HTTP/1.0 404 Not Found"]) {
    await withScript([{ text: `${head}\r\nContent-Length: 2\r\n\r\n{}` }], async (client) => {
      // On the first connection there would be no second answer.
      assert.equal(await client.imageId("x"), null);
      assert.equal(await client.imageId("x"), null);
    });
  }
});

Deno.test("Engine.removeContainer() waits for another client's removal", async () => {
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
    const parts = [{ text: answer(409, refusal) }, { afterMs: 30, text: answer(status, body) }];
    await withScript(parts, async (client) => {
      const removal = client.removeContainer({ id, state: "exited" });
      if (message === null) await removal;
      else assert.equal((await failureOf(removal)).message, message);
    });
  }
  await withClient(async (engine, client) => {
    const removing = container({ name: "web", state: "removing" });
    engine.containers = [removing];
    const path = `/containers/${removing.Id}/wait`;
    engine.fault = { kind: "status", status: 404, message: "gone", path };
    await client.removeContainer({ id: removing.Id, state: "removing" });
    assert.equal(engine.changes[1]?.path, `${path}?condition=removed`);
    // Any other conflict is one.
    engine.fault = { kind: "status", status: 409, message: "some conflict" };
    const running = { id: "web", state: "running" };
    const { message } = await failureOf(client.removeContainer(running));
    assert.equal(message, "DELETE /containers/web was answered with 409 (some conflict)");
  });
});

Deno.test("Engine sends no call after an abort, and lets running calls finish", async () => {
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

Deno.test("Engine.close() ends calls that run, and calls that wait", () =>
  withClient(async (engine, client) => {
    await client.imageId("x");
    engine.fault = { kind: "hang" };
    const failures = Array.from({ length: 7 }, () => failureOf(client.imageId("x")));
    await arrived(engine, 3);
    client.close();
    const hungUp = `Docker at ${engine.socketPath}: the agent closed the connection`;
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
