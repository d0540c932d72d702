import assert from "node:assert/strict";
import { EngineError } from "../docker/engine.ts";
import { imageLabel } from "../topology/mod.ts";
import { container, type FakeEngine, network } from "./engine/mod.ts";
import { failureOf, withClient } from "./engine_client.ts";
import { plannedContainer, plannedNetwork } from "./sample_plan.ts";

/** The changing calls in short; ids are told by their first eight digits. */
function changesOf({ changes }: FakeEngine): string[] {
  return changes.map(({ method, path }) =>
    `${method} ${path.replace(/[0-9a-f]{64}/, (id) => id.slice(0, 8))}`
  );
}

Deno.test("Engine lists everything, ours or not, running or not", () =>
  withClient(async (engine, client) => {
    engine.networks = [network({ name: "any", subnet: "10.0.0.0/24" })];
    engine.containers = [container({ name: "some", state: "exited" })];
    const { networks, containers } = await client.list();
    assert.deepEqual(networks.map(({ name }) => name), ["any"]);
    assert.deepEqual(containers.map(({ name }) => name), ["some"]);
  }));

Deno.test("Engine.imageId() answers null for an image that is absent, and for that alone", () =>
  withClient(async (engine, client) => {
    engine.images = ["here:1"];
    assert.equal(await client.imageId("here:1"), engine.images.idOf("here:1"));
    assert.equal(await client.imageId("absent/image:1"), null);
    engine.fault = { kind: "status", status: 500, message: "no" };
    const error = await failureOf(client.imageId("here:1"));
    assert.equal(error.message, "GET /images/here:1/json was answered with 500 (no)");
    engine.fault = { kind: "body", body: "{}" };
    assert.equal((await failureOf(client.imageId("here:1"))).message, "image: Id: not a text");
  }));

Deno.test("Engine has as many calls under way as it may, and no more", async () => {
  for (const [options, bound] of [[{ parallelCalls: 3 }, 3], [{}, 8]] as const) {
    await withClient(async (engine, client) => {
      engine.latencyMs = 20;
      await Promise.all(Array.from({ length: 30 }, () => client.imageId("x")));
      // A connection has one call at a time.
      assert.equal(engine.connectionCount, bound);
      assert.equal(engine.requestCount, 30);
    }, options);
  }
});

Deno.test("Engine lets calls go out in their turn", () =>
  withClient(async (engine, client) => {
    const names = Array.from({ length: 12 }, (_, index) => `image-${index}`);
    await Promise.all(names.map((name) => client.imageId(name)));
    assert.deepEqual(
      engine.requests.map(({ path }) => path),
      names.map((name) => `/images/${name}/json`),
    );
  }, { parallelCalls: 1 }));

Deno.test("Engine attaches a container to each of its networks before it is started", () =>
  withClient(async (engine, client) => {
    engine.images = ["base"];
    const { name, request, addressByNetwork } = plannedContainer("web");
    for (const lan of ["dmz", "inner"]) await client.createNetwork(plannedNetwork(lan).request);
    const id = await client.createContainer(name, { ...request, Image: "base" }, "sha256:1");
    await client.change(id, "start");
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
  }));

Deno.test("Engine makes no call to attach a container that has no network of its own", () =>
  withClient(async (engine, client) => {
    engine.images = ["base", "service"];
    engine.containers = [container({ name: plannedContainer("web").name })];
    const { name, request } = plannedContainer("web-ssh");
    await client.createContainer(name, { ...request, Image: "service" }, "sha256:1");
    assert.deepEqual(changesOf(engine), [`POST /containers/create?name=${name}`]);
  }));

Deno.test("Engine changes the state of a container, and minds not when it is so already", () =>
  withClient(async (engine, client) => {
    const states = { a: "exited", b: "running", c: "paused" } as const;
    engine.containers = Object.entries(states).map(([name, state]) => container({ name, state }));
    await client.change("a", "start");
    await client.change("a", "start");
    await client.change("b", "restart");
    await client.change("c", "unpause");
    assert.deepEqual(engine.containers.map(({ State }) => State), Array(3).fill("running"));
    assert.ok(changesOf(engine).includes("POST /containers/b/restart?t=0"));
  }));

Deno.test("Engine removes what is there, and minds not what has gone", () =>
  withClient(async (engine, client) => {
    engine.networks = [network({ name: "lan" })];
    engine.containers = [container({ name: "web", addresses: { lan: "10.0.0.2" } })];
    const networkId = engine.networks[0]!.Id;
    const containerId = engine.containers[0]!.Id;
    const inUse = await failureOf(client.removeNetwork(networkId));
    assert.match(
      inUse.message,
      /^DELETE \/networks\/[0-9a-f]{64} was answered with 403 \(error wh/,
    );
    for (let round = 0; round < 2; round++) await client.removeContainer(containerId);
    for (let round = 0; round < 2; round++) await client.removeNetwork(networkId);
    assert.deepEqual([...engine.networks, ...engine.containers], []);
    assert.ok(changesOf(engine)[1]!.endsWith("?force=1&v=1"));
  }));

Deno.test("Engine throws EngineError with the status and the words of a refusal", () =>
  withClient(async (engine, client) => {
    const { request } = plannedNetwork("dmz");
    await client.createNetwork(request);
    engine.containers = [container({ name: "web" })];
    const cases: [call: () => Promise<unknown>, status: number, message: RegExp][] = [
      [
        () => client.createNetwork(request),
        409,
        /^POST \/networks\/create was answered with 409 \(network with name \S+ already exists\)$/,
      ],
      [
        () => client.createNetwork({ ...request, Name: "other" }),
        403,
        /^POST \/networks\/create was answered with 403 \(Pool overlaps with other one/,
      ],
      [
        () => client.createContainer("web", plannedContainer("web").request, "sha256:1"),
        404,
        /^POST \/containers\/create was answered with 404 \(No such image: debian:bookworm-slim\)$/,
      ],
      [
        () => client.change("web", "unpause"),
        500,
        /^POST \/containers\/web\/unpause was answered with 500 \(Container \S+ is not paused\)$/,
      ],
      [() => client.change("gone", "start"), 404, / 404 \(No such container: gone\)$/],
    ];
    for (const [call, status, message] of cases) {
      const error = await failureOf(call());
      assert.ok(error instanceof EngineError);
      assert.equal(error.status, status);
      assert.match(error.message, message);
    }
    // A refusal is an answer: the connection can be used on.
    assert.equal(engine.connectionCount, 1);
  }));
