import assert from "node:assert/strict";
import { EventListener } from "../event_listener.ts";
import { Playground } from "../real/playground.ts";
import { dockerSocket, needsDocker } from "../real/sockets.ts";
import { eventually } from "../real/waiting.ts";
import { call } from "./calls.ts";
import { container, network, withEngine } from "./mod.ts";
import { act, makeContainer, makeNetwork, remove, type Stage, tie, untie } from "./script.ts";

const docker = await needsDocker();

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

Deno.test({
  name: `FakeEngine tells the events that a real engine does${docker.suffix}`,
  ignore: docker.ignore,
  async fn() {
    docker.check();
    await using playground = await Playground.open(dockerSocket);
    const image = `decnet-agent-test-${playground.tag}:1`;
    const tag = `told-${playground.tag}`;
    const steps = script({
      ...{ tag, image, command: ["/pause"] },
      subnet: (number) => playground.subnet(number),
      address: (number, host) => playground.address(number, host),
    });
    const hear = async (socket: string) => {
      await using listener = await EventListener.open(socket, tag);
      for (const step of steps) {
        const { status, body } = await call(socket, step.method, step.path, step.body);
        assert.ok(status < 300, `${step.path}: ${JSON.stringify(body)}`);
        // What is told of a container that ends comes after the answer.
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      const last = `network destroy TAG-other` as const;
      await eventually(
        "the last event",
        () => Promise.resolve(listener.heard.includes(last) || undefined),
      );
      return listener.heard;
    };
    await withEngine(async (engine) => {
      engine.images.add(image);
      assert.deepEqual(await hear(engine.socketPath), await hear(dockerSocket));
    });
  },
});

Deno.test("FakeEngine tells what is different when a test assigns other lists", () =>
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
    await eventually(
      "the last event",
      () => Promise.resolve(listener.heard.length === 9 || undefined),
    );
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
