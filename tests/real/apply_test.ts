import assert from "node:assert/strict";
import { versionHash } from "../../topology/mod.ts";
import { testerOf } from "./apply_setup.ts";
import type { Sample } from "./apply_sample.ts";
import { addressesInside, mayChangeNetwork, networkInside } from "./inside.ts";
import { needsDocker } from "./sockets.ts";
import { threeLansDocument } from "./three_lans.ts";

const test = testerOf(await needsDocker());
const oneLan: Sample = {
  lans: { "LAN-00": 0 },
  deckies: { "decky-001": { on: { "LAN-00": 7 }, services: ["ssh"] } },
};

test("Applier.apply() makes one LAN with a decky and its service", async (setup) => {
  const startedAt = Math.floor(Date.now() / 1000);
  const { changes, calls, steps } = await setup.apply(oneLan);
  assert.equal(changes, 3);
  assert.deepEqual(steps, [
    "create network lan-00",
    "create container decky-001",
    "create container decky-001-ssh",
  ]);
  assert.equal(calls.length, 5);
  assert.deepEqual([...(await setup.ids()).keys()], ["decky-001", "decky-001-ssh", "lan-00"]);
  assert.equal((await setup.drift(oneLan)).state, "consistent");

  const row = setup.row();
  assert.equal(row?.topologyId, setup.id);
  assert.equal(row.versionHash, await versionHash(setup.document(oneLan)));
  assert.ok(row.appliedAt >= startedAt && row.appliedAt <= Date.now() / 1000);
  assert.equal(row.lastError, null);
  assert.equal(row.document, JSON.stringify(JSON.parse(row.document)));
  const { lans } = JSON.parse(row.document);
  assert.equal(lans[0].subnet, setup.playground.subnet(0));
});

test("Applier.apply() makes three LANs with deckies on several", async (setup) => {
  const { playground } = setup;
  const document = threeLansDocument(playground);
  const { changes } = await setup.apply(document);
  assert.equal(changes, 12);
  assert.equal((await setup.drift(document)).state, "consistent");
  assert.deepEqual(await setup.apply(document), { changes: 0, calls: [], steps: [] });

  const networks = new Map((await playground.networks()).map((it) => [it.Name, it]));
  assert.deepEqual(
    ["lan-00", "lan-01", "lan-02"].map((lan) => {
      const { Driver, Internal, IPAM } = networks.get(setup.name(lan))!;
      return [Driver, Internal, IPAM.Config?.[0]?.Subnet];
    }),
    [
      ["bridge", false, playground.subnet(0)],
      ["bridge", true, playground.subnet(1)],
      ["bridge", true, playground.subnet(2)],
    ],
  );
  for (
    const [decky, services, addresses] of [
      ["decky-001", ["ssh"], [playground.address(0, 2), playground.address(1, 2)]],
      ["decky-002", ["http"], [playground.address(1, 3), playground.address(2, 2)]],
      ["decky-003", ["smb", "mysql"], [playground.address(2, 3)]],
      ["decky-004", ["http"], [playground.address(0, 3)]],
    ] as const
  ) {
    const base = setup.name(decky);
    const network = await networkInside(playground, base);
    assert.deepEqual(await addressesInside(playground, base), addresses);
    for (const service of services) {
      assert.equal(await networkInside(playground, `${base}-${service}`), network);
      assert.deepEqual(await addressesInside(playground, `${base}-${service}`), addresses);
    }
  }
});

test("Applier.apply() makes containers as the contract has them", async (setup) => {
  const { playground, id } = setup;
  await setup.apply({
    lans: { dmz: 0 },
    deckies: {
      router: { on: { dmz: 9 }, services: ["ssh"], forwards: true },
      host: { on: { dmz: 8 } },
    },
  });
  const inspect = (name: string) => playground.docker.getContainer(setup.name(name)).inspect();
  const [router, host, service] = await Promise.all(["router", "host", "router-ssh"].map(inspect));
  for (const { HostConfig } of [router, host, service]) {
    assert.deepEqual(HostConfig.RestartPolicy, { Name: "unless-stopped", MaximumRetryCount: 0 });
    assert.deepEqual(HostConfig.LogConfig, {
      Type: "json-file",
      Config: { "max-size": "10m", "max-file": "5" },
    });
    assert.equal(HostConfig.Privileged, false);
  }
  assert.equal(router.Config.Hostname, "router");
  assert.deepEqual([router.Config.Entrypoint, router.Config.Cmd], [["sleep"], ["infinity"]]);
  assert.deepEqual([router.HostConfig.CapAdd, service.HostConfig.CapAdd], [["NET_ADMIN"], null]);
  assert.deepEqual(router.HostConfig.Sysctls, { "net.ipv4.ip_forward": "1" });
  assert.equal(host.HostConfig.Sysctls ?? null, null);
  assert.equal(await mayChangeNetwork(playground, setup.name("router")), true);
  assert.equal(await mayChangeNetwork(playground, setup.name("router-ssh")), false);
  assert.equal(service.HostConfig.NetworkMode, `container:${router.Id}`);
  assert.ok(service.Config.Env.includes("HOSTNAME=router"));
  // The image's own command, not the base's.
  assert.deepEqual([service.Config.Entrypoint, service.Config.Cmd], [null, ["/pause"]]);

  const { "decnet.topology.spec": digest, ...labels } = router.Config.Labels;
  assert.match(digest, /^[0-9a-f]{64}$/);
  const image = { "decnet.topology.image": router.Image };
  const common = { ...image, "decnet.topology.id": id, "decnet.topology.decky": "router" };
  assert.deepEqual(labels, { ...common, "decnet.topology.role": "base" });
  assert.deepEqual(service.Config.Labels, {
    ...common,
    "decnet.topology.service": "true",
    "decnet.topology.service_name": "ssh",
    "decnet.topology.spec": service.Config.Labels["decnet.topology.spec"],
  });
  const network = (await playground.networks())[0]!;
  assert.equal(network.Labels?.["decnet.topology.id"], id);
  assert.match(network.Labels["decnet.topology.spec"]!, /^[0-9a-f]{64}$/);
});

test("Applier.apply() makes 30 deckies, and nothing when they are pushed again", async (setup) => {
  const deckies = Object.fromEntries(
    Array.from({ length: 30 }, (_, index) => [
      `decky-${index}`,
      { on: { [index % 3 === 0 ? "dmz" : "inside"]: 2 + index }, services: ["ssh"] },
    ]),
  );
  const gate = { on: { dmz: 100, inside: 100 } };
  const sample = { lans: { dmz: 0, inside: 1 }, deckies: { ...deckies, gate } };
  const { changes } = await setup.apply(sample);
  assert.equal(changes, 2 + 61);
  assert.equal((await setup.drift(sample)).state, "consistent");
  const base = setup.name("decky-29");
  assert.deepEqual(await addressesInside(setup.playground, `${base}-ssh`), [
    setup.playground.address(1, 31),
  ]);
  const before = await setup.ids();
  assert.deepEqual(await setup.apply(sample), { changes: 0, calls: [], steps: [] });
  assert.deepEqual(await setup.ids(), before);
  assert.equal((await setup.teardown()).changes, 2 + 61);
  assert.equal((await setup.ids()).size, 0);
});
