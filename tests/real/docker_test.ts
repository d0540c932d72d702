import assert from "node:assert/strict";
import { type Observation, observe } from "../../docker/mod.ts";
import { Playground } from "./playground.ts";
import { dockerSocket, needsDocker } from "./sockets.ts";
import { eventually } from "./waiting.ts";

const docker = await needsDocker();
const label = "decnet.topology.id";

function test(name: string, run: (playground: Playground) => Promise<void>): void {
  Deno.test({
    name: name + docker.suffix,
    ignore: docker.ignore,
    async fn() {
      docker.check();
      await using playground = await Playground.open(dockerSocket);
      await run(playground);
    },
  });
}

/** Observes by a prefix of the playground's own; what else has our label is left out. */
async function look({ tag, socketPath: socket }: Playground): Promise<Observation> {
  const prefixes = { networkPrefixes: [`ours-${tag}`], containerPrefixes: [`ours-${tag}`] };
  const { bridges, containers, inventory, engine } = await observe(
    new AbortController().signal,
    { socket, ...prefixes, callTimeoutMs: 30_000, timeoutMs: 60_000 },
  );
  const isHere = (name: string) => name.includes(tag);
  return {
    bridges: bridges.filter(isHere),
    containers: containers.filter(isHere),
    inventory: {
      networks: inventory.networks.filter(({ name }) => isHere(name)),
      containers: inventory.containers.filter(({ name }) => isHere(name)),
    },
    engine,
  };
}

function byName<T extends { readonly name: string }>(items: Iterable<T>): T[] {
  return [...items].sort((a, b) => a.name < b.name ? -1 : 1);
}

test("observe() agrees with dockerode on the networks", async (playground) => {
  const { tag } = playground;
  await playground.makeNetwork(`ours-${tag}-dmz`, { subnet: playground.subnet(1) });
  await playground.makeNetwork(`ours-${tag}-lan`, {
    subnet: playground.subnet(2),
    internal: true,
    labels: { [label]: tag, empty: "" },
  });
  await playground.makeNetwork(`another-${tag}`, {
    subnet: playground.subnet(3),
    labels: { [label]: tag },
  });
  await playground.makeNetwork(`foreign-ours-${tag}`, { subnet: playground.subnet(4) });

  const { bridges, inventory } = await look(playground);
  assert.deepEqual(bridges, [`another-${tag}`, `ours-${tag}-dmz`, `ours-${tag}-lan`]);
  const listed = (await playground.networks())
    .filter(({ Name, Labels }) => Name.startsWith("ours-") || Labels && label in Labels);
  assert.equal(listed.length, 3);
  assert.deepEqual(
    byName(inventory.networks),
    byName(listed.map((item) => ({
      id: item.Id,
      name: item.Name,
      driver: item.Driver,
      internal: item.Internal,
      subnets: (item.IPAM.Config ?? []).map(({ Subnet }) => Subnet),
      labels: new Map(Object.entries(item.Labels ?? {})),
    }))),
  );
  const lan = inventory.networks.find(({ name }) => name.endsWith("lan"));
  assert.deepEqual([lan?.internal, lan?.subnets], [true, [playground.subnet(2)]]);
});

test("observe() counts no network of another driver as a bridge", async ({ socketPath: socket }) => {
  const { bridges, inventory } = await observe(new AbortController().signal, {
    socket,
    networkPrefixes: ["bridge", "host", "none"],
    containerPrefixes: [],
  });
  const drivers = new Map(inventory.networks.map(({ name, driver }) => [name, driver]));
  assert.deepEqual([drivers.get("host"), drivers.get("none")], ["host", "null"]);
  assert.ok(bridges.includes("bridge") && !bridges.includes("host") && !bridges.includes("none"));
});

test("observe() agrees with dockerode on the containers and their states", async (playground) => {
  const { tag } = playground;
  const lan = `ours-${tag}-lan`;
  await playground.makeNetwork(lan, { subnet: playground.subnet(1), internal: true });
  const addresses = new Map([[lan, playground.address(1, 7)]]);
  await playground.makeContainer(`ours-${tag}-running`, { addresses });
  await playground.makeContainer(`ours-${tag}-created`, { isStarted: false });
  await playground.makeContainer(`ours-${tag}-exited`);
  await playground.kill(`ours-${tag}-exited`);
  await playground.makeContainer(`ours-${tag}-paused`);
  await playground.docker.getContainer(`ours-${tag}-paused`).pause();
  await playground.makeContainer(`another-${tag}`, { labels: { [label]: tag } });
  await playground.makeContainer(`foreign-ours-${tag}`);
  await playground.makeContainer(`ours-${tag}-sharing`, { base: `ours-${tag}-running` });

  const { containers, inventory } = await look(playground);
  assert.deepEqual(containers, [
    `another-${tag}`,
    `ours-${tag}-paused`,
    `ours-${tag}-running`,
    `ours-${tag}-sharing`,
  ]);
  const listed = (await playground.containers())
    .filter(({ Names: [name], Labels }) => name!.startsWith("/ours-") || Labels && label in Labels);
  assert.equal(listed.length, 6);
  assert.deepEqual(
    byName(inventory.containers.map((it) => ({ ...it, uptime: it.uptime !== null }))),
    byName(listed.map((item) => ({
      id: item.Id,
      name: item.Names[0]!.slice(1),
      state: item.State,
      unhealthy: false,
      uptime: item.State === "running" || item.State === "paused",
      labels: new Map(Object.entries(item.Labels ?? {})),
      networkMode: item.HostConfig!.NetworkMode!,
      addressByNetwork: new Map(
        Object.entries(item.NetworkSettings.Networks).map((
          [name, { IPAddress }],
        ) => [name, IPAddress]),
      ),
    }))),
  );
});

test("observe() sees each address of a base and whose network a service shares", async (playground) => {
  const { tag } = playground;
  const networks = [`ours-${tag}-a`, `ours-${tag}-b`];
  for (const [number, name] of networks.entries()) {
    await playground.makeNetwork(name, { subnet: playground.subnet(number) });
  }
  const addresses = new Map(networks.map((name, number) => [name, playground.address(number, 9)]));
  const baseId = await playground.makeContainer(`ours-${tag}-base`, { addresses });
  await playground.makeContainer(`ours-${tag}-base-ssh`, { base: `ours-${tag}-base` });
  const find = async (name: string) =>
    (await look(playground)).inventory.containers.find((it) => it.name === `ours-${tag}-${name}`);
  assert.deepEqual((await find("base"))?.addressByNetwork, addresses);
  assert.equal((await find("base-ssh"))?.networkMode, `container:${baseId}`);
  assert.deepEqual((await find("base-ssh"))?.addressByNetwork, new Map());
  await playground.kill(`ours-${tag}-base`);
  assert.deepEqual([...(await find("base"))!.addressByNetwork.values()], ["", ""]);
});

test("observe() sees a health check fail", async (playground) => {
  const name = `ours-${playground.tag}-ill`;
  await playground.makeContainer(name, { failsHealthCheck: true });
  await eventually("a failing health check", async () => {
    const { State } = await playground.docker.getContainer(name).inspect();
    return State.Health.Status === "unhealthy" || undefined;
  });
  const { containers, inventory } = await look(playground);
  assert.deepEqual(containers, [name]);
  assert.deepEqual(inventory.containers.map(({ unhealthy }) => unhealthy), [true]);
});

test("observe() tells the version that dockerode tells", async (playground) => {
  const { engine } = await look(playground);
  const { Version, ApiVersion } = await playground.docker.version();
  assert.deepEqual([engine.version, engine.apiVersion], [Version, ApiVersion]);
});
