import assert from "node:assert/strict";
import { observe } from "../../docker/mod.ts";
import { Playground } from "./playground.ts";
import { needsPodman, podmanSocket } from "./sockets.ts";
import { ThreeLans } from "./three_lans.ts";

const podman = await needsPodman();

function test(name: string, run: (playground: Playground) => Promise<void>): void {
  Deno.test({
    name: name + podman.suffix,
    ignore: podman.ignore,
    async fn() {
      podman.check();
      await using playground = await Playground.open(podmanSocket);
      await run(playground);
    },
  });
}

function look({ tag, socketPath: socket }: Playground) {
  const prefixes = { networkPrefixes: [`ours-${tag}`], containerPrefixes: [`ours-${tag}`] };
  return observe(new AbortController().signal, {
    socket,
    ...prefixes,
    callTimeoutMs: 30_000,
    timeoutMs: 60_000,
  });
}

test("observe() agrees with dockerode on what Podman runs", async (playground) => {
  const { tag } = playground;
  const lan = `ours-${tag}-lan`;
  await playground.makeNetwork(lan, {
    subnet: playground.subnet(1),
    internal: true,
    labels: { "decnet.topology.id": tag },
  });
  await playground.makeNetwork(`ours-${tag}-dmz`, { subnet: playground.subnet(2) });
  const addresses = new Map([[lan, playground.address(1, 7)]]);
  await playground.makeContainer(`ours-${tag}-base`, { addresses });
  await playground.makeContainer(`ours-${tag}-base-ssh`, { base: `ours-${tag}-base` });
  await playground.makeContainer(`ours-${tag}-created`, { isStarted: false });
  await playground.makeContainer(`ours-${tag}-exited`);
  await playground.kill(`ours-${tag}-exited`);
  await playground.makeContainer(`ours-${tag}-paused`);
  await playground.docker.getContainer(`ours-${tag}-paused`).pause();

  const { bridges, containers, inventory, engine } = await look(playground);
  assert.deepEqual(bridges, [`ours-${tag}-dmz`, lan]);
  assert.deepEqual(containers, [
    `ours-${tag}-base`,
    `ours-${tag}-base-ssh`,
    `ours-${tag}-paused`,
  ]);
  const listed = await playground.containers();
  assert.deepEqual(
    new Map(inventory.containers.map(({ name, state }) => [name, state])),
    new Map(listed.map(({ Names, State }) => [Names[0]!.slice(1), State])),
  );
  const base = inventory.containers.find(({ name }) => name.endsWith("base"))!;
  assert.deepEqual(base.addressByNetwork, addresses);
  assert.equal(base.id, (await playground.docker.getContainer(base.name).inspect()).Id);
  const network = inventory.networks.find(({ name }) => name === lan)!;
  assert.deepEqual([network.internal, network.subnets], [true, [playground.subnet(1)]]);
  assert.deepEqual(network.labels, new Map([["decnet.topology.id", tag]]));
  const { Version, ApiVersion } = await playground.docker.version();
  assert.deepEqual([engine.version, engine.apiVersion], [Version, ApiVersion]);
});

test("findDrift() finds what Podman runs as planned consistent", async (playground) => {
  const lans = await ThreeLans.open(playground);
  await lans.build();
  assert.equal((await lans.drift()).state, "consistent", JSON.stringify(await lans.drift()));
  await playground.kill(lans.name("decky-001-ssh"));
  assert.deepEqual((await lans.drift()).stopped, [
    { type: "container", name: lans.name("decky-001-ssh"), detail: "exited" },
  ]);
});
