import assert from "node:assert/strict";
import type { FakeEngine } from "../support/engine/fake_engine.ts";
import {
  act,
  type Answer,
  call,
  makeContainer,
  makeNetwork,
  names,
  parts,
  play,
  remove,
  type Stage,
  type Step,
  tie,
  untie,
  withEngine,
} from "../support/engine/script.ts";
import { container, network } from "../support/engine/state.ts";
import { EventListener } from "../support/engine_client.ts";
import { until } from "../support/environment.ts";
import { docker, dockerSocket } from "./engines.ts";
import { type DockerSandbox, testInSandbox } from "./sandbox.ts";

const stage: Stage = {
  tag: "t",
  image: "base:1",
  command: ["/pause"],
  subnet: (number) => `10.9.${number}.0/24`,
  address: (number, host) => `10.9.${number}.${host}`,
};
const make = makeContainer.bind(null, stage);
const onLan = { mode: "lan", address: "10.9.1.5" };

function send(engine: FakeEngine, { method, path, body }: Step) {
  return call(engine.socketPath, method, path, body);
}

/** A running base with a created service, and a container that restarts. */
function withLan(test: (engine: FakeEngine) => Promise<void>): Promise<void> {
  return withEngine(async (engine) => {
    engine.images = ["base:1"];
    const restarting = container({ name: "again", state: "restarting", addresses: { lan: "" } });
    engine.containers = [restarting];
    const steps = [
      makeNetwork("lan", "10.9.1.0/24"),
      make("base", onLan),
      act("base", "start"),
      make("service", { mode: "container:base" }),
    ];
    for (const step of steps) assert.ok((await send(engine, step)).status < 300, step.path);
    await test(engine);
  });
}

Deno.test("FakeEngine lists what has been made over its socket", () =>
  withLan(async (engine) => {
    const [service, base] = engine.containers;
    assert.deepEqual(await names(engine, "/networks"), ["lan"]);
    assert.deepEqual(await names(engine, "/containers/json"), ["/base", "/again"]);
    assert.equal(base!.State, "running");
    assert.equal(base!.NetworkSettings.Networks.lan!.IPAddress, "10.9.1.5");
    assert.equal(base!.NetworkSettings.Networks.lan!.NetworkID, engine.networks[0]!.Id);
    assert.equal(service!.HostConfig.NetworkMode, `container:${base!.Id}`);
    assert.deepEqual(service!.NetworkSettings.Networks, {});
    await send(engine, act("service", "start"));
    assert.deepEqual(await names(engine, "/containers/json"), ["/service", "/base", "/again"]);
    await send(engine, act("base", "stop"));
    assert.equal(engine.containers[1]!.NetworkSettings.Networks.lan!.IPAddress, "");
    await send(engine, remove("/containers/service?force=1"));
    assert.deepEqual(await names(engine, "/containers/json?all=1"), ["/base", "/again"]);
  }));

Deno.test("FakeEngine gives a new id to a recreated object", () =>
  withLan(async (engine) => {
    const ids = [engine.containers[1]!.Id, engine.networks[0]!.Id];
    await send(engine, remove("/containers/base?force=1"));
    await send(engine, remove("/networks/lan"));
    await send(engine, makeNetwork("lan", "10.9.1.0/24"));
    await send(engine, make("base", onLan));
    ids.push(engine.containers[0]!.Id, engine.networks[0]!.Id);
    assert.equal(new Set(ids).size, 4);
    assert.ok(ids.every((id) => /^[0-9a-f]{64}$/.test(id)), String(ids));
    assert.equal((await send(engine, act("service", "start"))).status, 404);
  }));

Deno.test("FakeEngine does not change the arrays that a test has assigned", () =>
  withEngine(async (engine) => {
    const networks = [network({ name: "lan", subnet: "10.0.0.0/24" })];
    const containers = [container({ name: "web", addresses: { lan: "10.0.0.5" } })];
    const before = JSON.stringify([networks, containers]);
    Object.assign(engine, { networks, containers });
    assert.equal((await send(engine, remove("/networks/lan"))).status, 403);
    assert.equal((await send(engine, act("web", "stop"))).status, 204);
    assert.equal((await send(engine, act("web", "start"))).status, 204);
    assert.equal((await send(engine, remove("/containers/web?force=1"))).status, 204);
    assert.equal((await send(engine, remove("/networks/lan"))).status, 204);
    assert.deepEqual([engine.networks, engine.containers], [[], []]);
    assert.equal(JSON.stringify([networks, containers]), before);
  }));

const refusals: [Step, number, string | RegExp][] = [
  [makeNetwork("lan", "10.8.0.0/24"), 409, "network with name lan already exists"],
  [
    makeNetwork("x", "10.9.1.128/25"),
    403,
    "Pool overlaps with other one on this address space",
  ],
  [makeNetwork("x", "10.8.0.0/24", { Driver: "y" }), 404, 'plugin "y" not found'],
  [{ ...makeNetwork("x", ""), body: "{" }, 400, "unexpected EOF"],
  [remove("/networks/lan"), 403, /^error while removing network: network lan id .* has active /],
  [remove("/networks/x"), 404, "network x not found"],
  [make("base", onLan), 409, /^Conflict\. The container name "\/base" is already in use by /],
  [make("x", onLan, { Image: "y" }), 404, "No such image: y:latest"],
  [{ ...make("x", onLan), body: "{" }, 500, "unexpected EOF"],
  [make("x", { mode: "container:base" }, { Hostname: "y" }), 400, /^conflicting options: host/],
  [tie("lan", "base", "10.9.1.9"), 403, "endpoint with name base already exists in network lan"],
  [tie("x", "base"), 404, "network x not found"],
  [tie("lan", "x"), 404, "No such container: x"],
  [act("x", "start"), 404, "No such container: x"],
  [act("base", "unpause"), 500, /^Container [0-9a-f]{64} is not paused$/],
  [act("again", "pause"), 409, / is restarting, wait until the container is running$/],
  [act("service", "kill"), 409, /^Cannot kill container: service: Container .* is not running$/],
  [remove("/containers/again"), 409, /^You cannot remove a restarting container /],
  [remove("/containers/x"), 404, "No such container: x"],
  [{ method: "POST", path: "/networks" }, 404, "page not found"],
];
Deno.test("FakeEngine refuses in the real engine's words, and changes nothing", () =>
  withLan(async (engine) => {
    const { networks, containers } = engine;
    for (const [step, status, message] of refusals) {
      const answer = await send(engine, step);
      const text = answer.body?.message ?? "";
      const name = `${step.method} ${step.path} ${JSON.stringify(step.body)}: ${text}`;
      assert.equal(answer.status, status, name);
      assert.ok(typeof message === "string" ? text === message : message.test(text), name);
      assert.ok(engine.networks === networks && engine.containers === containers, name);
    }
  }));

Deno.test("FakeEngine lets no service join a base that does not run", () =>
  withLan(async (engine) => {
    await send(engine, make("other", { mode: "container:again" }));
    assert.match(
      String((await send(engine, act("other", "start"))).body?.message),
      /is restarting/,
    );
    await send(engine, act("base", "kill"));
    const { status, body } = await send(engine, act("service", "start"));
    assert.equal(status, 409);
    assert.match(String(body?.message), /^cannot join network of a non running container: /);
  }));

Deno.test("FakeEngine assigns addresses, and a subnet where none is wanted", () =>
  withLan(async (engine) => {
    await send(engine, { ...makeNetwork("auto", ""), body: { Name: "auto" } });
    assert.deepEqual(engine.networks[1]!.IPAM.Config, [
      { Subnet: "172.18.0.0/16", Gateway: "172.18.0.1" },
    ]);
    for (const name of ["one", "two"]) {
      await send(engine, make(name, { mode: "auto" }));
      await send(engine, act(name, "start"));
    }
    const addresses = engine.containers.slice(0, 2).map((item) => {
      return item.NetworkSettings.Networks.auto!.IPAddress;
    });
    assert.deepEqual(addresses, ["172.18.0.3", "172.18.0.2"]);
    await send(engine, make("three", { mode: "auto", address: "172.18.0.9" }));
    assert.equal((await send(engine, act("three", "start"))).status, 400);
  }));

Deno.test("FakeEngine.bodyOf() returns what a container was created from", () =>
  withLan((engine) => {
    assert.deepEqual(engine.bodyOf("service"), make("service", { mode: "container:base" }).body);
    assert.throws(() => engine.bodyOf("again"), /not created over the socket/);
    return Promise.resolve();
  }));

Deno.test("FakeEngine.changes holds the calls that change something", () =>
  withLan(async (engine) => {
    engine.changes.length = 0;
    await names(engine, "/networks");
    await send(engine, act("base", "restart?t=0"));
    await send(engine, remove("/v1.41/networks/x"));
    assert.deepEqual(engine.changes, [
      { method: "POST", path: "/containers/base/restart?t=0" },
      { method: "DELETE", path: "/v1.41/networks/x" },
    ]);
  }));

Deno.test("FakeEngine.latencyMs delays each call on its own", () =>
  withLan(async (engine) => {
    engine.latencyMs = 400;
    const startedAt = performance.now();
    const steps = Array.from({ length: 20 }, (_, i) => make(`c${i}`, { mode: "lan" }));
    await Promise.all(steps.map((step) => send(engine, step)));
    const tookMs = performance.now() - startedAt;
    assert.ok(tookMs >= 390 && tookMs < 4000, `${tookMs} ms`);
    assert.equal(engine.containers.length, 23);
  }));

/** The stage of a script in a sandbox. */
function stageOf(sandbox: DockerSandbox, tag: string): Stage {
  return {
    tag: `${tag}-${sandbox.tag}`,
    image: `decnet-agent-test-${sandbox.tag}:1`,
    command: ["/pause"],
    subnet: (number) => sandbox.subnet(number),
    address: (number, host) => sandbox.address(number, host),
  };
}

/** Everything that can happen to two networks and a container, and is told. */
function script(stage: Stage) {
  const { tag, address } = stage;
  const [lan, other, web] = [`${tag}-lan`, `${tag}-other`, `${tag}-web`];
  return [
    makeNetwork(lan, stage.subnet(1)),
    makeNetwork(other, stage.subnet(2)),
    makeContainer(stage, web, { mode: lan, address: address(1, 5) }),
    act(web, "start"),
    tie(other, web, address(2, 5)),
    untie(other, web),
    act(web, "pause"),
    act(web, "unpause"),
    act(web, `rename?name=${tag}-site`),
    act(`${tag}-site`, "restart?t=0"),
    act(`${tag}-site`, "kill"),
    act(`${tag}-site`, "start"),
    remove(`/containers/${tag}-site?force=1`),
    remove(`/networks/${lan}`),
    remove(`/networks/${other}`),
  ];
}

testInSandbox(docker, "FakeEngine sends the events of a real engine", async (sandbox) => {
  const stage = stageOf(sandbox, "told");
  const { tag, image } = stage;
  const steps = script(stage);
  const hear = async (socket: string) => {
    await using listener = await EventListener.open(socket, tag);
    for (const step of steps) {
      const { status, body } = await call(socket, step.method, step.path, step.body);
      assert.ok(status < 300, `${step.path}: ${JSON.stringify(body)}`);
      // What is told of a container that ends comes after the answer.
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    const last = `network destroy TAG-other` as const;
    await until(() => listener.heard.includes(last));
    return listener.heard;
  };
  await withEngine(async (engine) => {
    engine.images.add(image);
    assert.deepEqual(await hear(engine.socketPath), await hear(dockerSocket));
  });
});

Deno.test("FakeEngine sends events when a test assigns other lists", () =>
  withEngine(async (engine) => {
    const networks = [network({ name: "x-lan" })];
    const on = (state: "running" | "exited", health?: "healthy" | "unhealthy") => [
      container({
        name: "x-web",
        state,
        addresses: { "x-lan": "10.0.0.2" },
        ...(health && { health }),
      }),
    ];
    await using listener = await EventListener.open(engine.socketPath, "x-");
    engine.networks = networks;
    engine.containers = on("running", "healthy");
    engine.containers = on("running", "unhealthy");
    engine.containers = on("exited");
    engine.containers = [];
    engine.networks = [];
    await until(() => listener.heard.length === 9);
    assert.deepEqual(listener.heard, [
      "network create TAGlan",
      "container create TAGweb",
      "network connect TAGlan",
      "container start TAGweb",
      "container health_status: unhealthy TAGweb",
      "container die TAGweb",
      "network disconnect TAGlan",
      "container destroy TAGweb",
      "network destroy TAGlan",
    ]);
  }));

for (const [name, part] of Object.entries(parts)) {
  testInSandbox(docker, `FakeEngine answers as a real engine does: ${name}`, async (sandbox) => {
    const stage = stageOf(sandbox, "truth");
    const steps = part(stage);
    await withEngine(async (engine) => {
      const { body } = await call(dockerSocket, "GET", `/images/${stage.image}/json`);
      engine.images.add(stage.image, body?.Id);
      assert.deepEqual(
        await play(steps, caller(engine.socketPath)),
        await play(steps, caller(dockerSocket)),
      );
    });
  });
}

function caller(socketPath: string): (step: Step) => Promise<Answer> {
  return ({ method, path, body }) => call(socketPath, method, path, body);
}
