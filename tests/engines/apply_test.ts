import assert from "node:assert/strict";
import type Docker from "dockerode";
import { requirement } from "../support/requirements.ts";
import {
  type ApplySetup,
  changed,
  damages,
  type Sample,
  sample,
  testApply,
} from "./apply_setup.ts";
import { docker, dockerSocket, podman } from "./engines.ts";
import {
  addressesInside,
  hasDefaultRoute,
  mayChangeNetwork,
  networkInside,
  Outside,
} from "./inside.ts";
import { driftLines, threeLansDocument } from "./three_lans.ts";

testApply("Applier.apply() makes three LANs with deckies on several", async (setup) => {
  const { sandbox } = setup;
  const document = threeLansDocument(sandbox);
  const { changes } = await setup.apply(document);
  assert.equal(changes, 12);
  await setup.assertApplied(document);

  const networks = new Map((await sandbox.networks()).map((it) => [it.Name, it]));
  assert.deepEqual(
    ["lan-00", "lan-01", "lan-02"].map((lan) => {
      const { Driver, Internal, IPAM } = networks.get(setup.name(lan))!;
      return [Driver, Internal, IPAM.Config?.[0]?.Subnet];
    }),
    [
      ["bridge", false, sandbox.subnet(0)],
      ["bridge", true, sandbox.subnet(1)],
      ["bridge", true, sandbox.subnet(2)],
    ],
  );
  for (
    const [decky, services, addresses] of [
      ["decky-001", ["ssh"], [sandbox.address(0, 2), sandbox.address(1, 2)]],
      ["decky-002", ["http"], [sandbox.address(1, 3), sandbox.address(2, 2)]],
      ["decky-003", ["smb", "mysql"], [sandbox.address(2, 3)]],
      ["decky-004", ["http"], [sandbox.address(0, 3)]],
    ] as const
  ) {
    const base = setup.name(decky);
    const network = await networkInside(sandbox, base);
    assert.deepEqual(await addressesInside(sandbox, base), addresses);
    for (const service of services) {
      assert.equal(await networkInside(sandbox, `${base}-${service}`), network);
      assert.deepEqual(await addressesInside(sandbox, `${base}-${service}`), addresses);
    }
  }
});

testApply("Applier.apply() makes containers as the contract has them", async (setup) => {
  const { sandbox, id } = setup;
  await setup.apply({
    lans: { dmz: 0 },
    deckies: {
      router: { on: { dmz: 9 }, services: ["ssh"], forwards: true },
      host: { on: { dmz: 8 } },
    },
  });
  const inspect = (name: string) => sandbox.docker.getContainer(setup.name(name)).inspect();
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
  const confinement = ({ HostConfig }: Docker.ContainerInspectInfo) => {
    const { CapAdd, CapDrop, SecurityOpt, PidsLimit } = HostConfig;
    const names = (list: unknown) => (list as string[] | null)?.map((it) => it.replace("CAP_", ""));
    return [names(CapDrop), names(CapAdd), SecurityOpt, PidsLimit];
  };
  const ofBase = [["ALL"], ["NET_ADMIN"], ["no-new-privileges"], 64];
  assert.deepEqual([router, host].map(confinement), [ofBase, ofBase]);
  assert.deepEqual(confinement(service), [undefined, ["NET_BIND_SERVICE"], null, 1024]);
  const lowPorts = { "net.ipv4.ip_unprivileged_port_start": "0" };
  assert.deepEqual(router.HostConfig.Sysctls, { "net.ipv4.ip_forward": "1", ...lowPorts });
  assert.deepEqual(host.HostConfig.Sysctls, lowPorts);
  assert.equal(await mayChangeNetwork(sandbox, setup.name("router")), true);
  assert.equal(await mayChangeNetwork(sandbox, setup.name("router-ssh")), false);
  assert.equal(service.HostConfig.NetworkMode, `container:${router.Id}`);
  for (const variable of ["HOSTNAME=router", "NODE_NAME=router", "SSH_USER=ubuntu"]) {
    assert.ok(service.Config.Env.includes(variable), variable);
  }
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
  const network = (await sandbox.networks())[0]!;
  assert.equal(network.Labels?.["decnet.topology.id"], id);
  assert.match(network.Labels["decnet.topology.spec"]!, /^[0-9a-f]{64}$/);
});

const two: Sample = {
  lans: { dmz: 0, inside: 1 },
  deckies: {
    web: { on: { dmz: 2, inside: 2 }, services: ["http"], forwards: true },
    files: { on: { inside: 3 }, services: ["smb"] },
  },
};

/** The same with other deckies. */
function withDeckies(deckies: Sample["deckies"]): Sample {
  return { ...two, deckies: { ...two.deckies, ...deckies } };
}

testApply("Applier.apply() exchanges the addresses of two deckies", async (setup) => {
  const sample = (web: number, files: number): Sample => ({
    lans: { dmz: 0 },
    deckies: { web: { on: { dmz: web } }, files: { on: { dmz: files } } },
  });
  await setup.apply(sample(2, 3));
  await setup.apply(sample(3, 2));
  assert.equal((await setup.drift(sample(3, 2))).state, "consistent");
});

testApply("Applier.apply() recreates only a service whose image has changed", async (setup) => {
  const { sandbox, name } = setup;
  const image = `decnet-agent-test-${sandbox.tag}-smb:1`;
  const files = { ...two.deckies.files!, images: { smb: image } };
  const imageOf = async (container: string): Promise<string> =>
    (await sandbox.docker.getContainer(name(container)).inspect()).Image;
  await setup.apply(two);

  const before = await setup.ids();
  const other = await sandbox.importImage(image);
  await setup.apply(withDeckies({ files }));
  assert.deepEqual(changed(before, await setup.ids()), ["files-smb"]);
  assert.equal(await imageOf("files-smb"), other);

  // A newer one of the same name.
  const between = await setup.ids();
  const newer = await sandbox.importImage(image);
  await setup.apply(withDeckies({ files }));
  assert.deepEqual(changed(between, await setup.ids()), ["files-smb"]);
  assert.equal(await imageOf("files-smb"), newer);
  assert.deepEqual((await setup.apply(withDeckies({ files }))).calls, []);

  // Without the image, the running container is left alone.
  await sandbox.docker.getImage(image).remove({ force: true, noprune: true });
  assert.deepEqual((await setup.apply(withDeckies({ files }))).calls, []);
});

testApply("Applier.apply() adds and removes services, deckies and LANs alone", async (setup) => {
  await setup.apply(two);
  const before = await setup.ids();
  const mail = { on: { inside: 4 }, services: ["smtp"] };
  await setup.apply(withDeckies({ mail }));
  assert.deepEqual(changed(before, await setup.ids()), ["mail", "mail-smtp"]);

  const files = { on: { inside: 3 }, services: ["smb", "ftp"] };
  await setup.apply(withDeckies({ files }));
  assert.deepEqual(changed(before, await setup.ids()), ["files-ftp"]);

  await setup.apply(two);
  assert.deepEqual(changed(before, await setup.ids()), []);

  const { web } = two.deckies;
  await setup.apply({ lans: { dmz: 0 }, deckies: { web: { ...web!, on: { dmz: 2 } } } });
  const gone = ["files", "files-smb", "inside"];
  assert.deepEqual(changed(before, await setup.ids()), [...gone, "web", "web-http"]);
  assert.deepEqual([...(await setup.ids()).keys()], ["dmz", "web", "web-http"]);

  await setup.apply({ lans: {}, deckies: {} });
  assert.equal((await setup.ids()).size, 0);
  assert.equal(setup.row()?.topologyId, setup.id);
});

testApply("Applier.apply() recreates a LAN that has changed, and its deckies", async (setup) => {
  const { name } = setup;
  const deckies = { files: two.deckies.files!, front: { on: { dmz: 5 }, services: ["http"] } };
  const gate = { on: { dmz: 9, inside: 9 } };
  const sample = (inside: number): Sample => ({
    lans: { dmz: 0, inside },
    deckies: { ...deckies, gate },
  });
  await setup.apply(sample(1));
  const before = await setup.ids();
  await setup.apply(sample(2));
  const between = await setup.ids();
  assert.deepEqual(changed(before, between), ["files", "files-smb", "gate", "inside"]);
  assert.equal((await setup.drift(sample(2))).state, "consistent");

  // The other one is the DMZ now.
  const turned = { ...sample(2), lans: { inside: 2, dmz: 0 } };
  await setup.apply(turned);
  assert.deepEqual(changed(between, await setup.ids()), [...between.keys()]);
  const internal = (await setup.sandbox.networks()).map((it) => [it.Name, it.Internal]);
  assert.deepEqual(internal.sort(), [[name("dmz"), true], [name("inside"), false]]);
});

testApply("Applier.apply() fixes what was damaged, and nothing else", async (setup, t) => {
  await setup.apply(sample);
  for (const { name, make, drift, recreated, steps } of damages) {
    await t.step(name, async () => {
      const before = await setup.ids();
      await make(setup);
      const lines = driftLines(await setup.drift(sample));
      const shown = lines.map((it) =>
        it.replaceAll(setup.name(""), "").replaceAll(/10\.\d+/g, "10.x")
      );
      assert.deepEqual(shown, drift);
      const recovered = await setup.apply(sample);
      assert.deepEqual([...recovered.steps].sort(), [...steps].sort());
      assert.equal(recovered.changes, steps.length);
      assert.deepEqual(changed(before, await setup.ids()), recreated);
      await setup.assertApplied(sample);
      await assertShared(setup);
    });
  }
});

/** Every service is in the network of its base. */
async function assertShared({ sandbox, name }: ApplySetup): Promise<void> {
  await Promise.all(
    Object.entries(sample.deckies).map(async ([decky, { services = [] }]) => {
      const names = [decky, ...services.map((service) => `${decky}-${service}`)];
      const networks = names.map((it) => networkInside(sandbox, name(it)));
      assert.equal(new Set(await Promise.all(networks)).size, 1, decky);
    }),
  );
}

const withOutside = requirement(
  `a Docker engine at ${dockerSocket}, root, ip and nsenter`,
  docker.requirement.isPresent && await Outside.isPossible(),
);

testApply("Applier.apply() lets only deckies in the DMZ out", async (setup) => {
  const { sandbox, name } = setup;
  await setup.apply({
    lans: { dmz: 0, inside: 1 },
    deckies: {
      front: { on: { dmz: 2 }, services: ["http"] },
      gate: { on: { dmz: 3, inside: 3 }, forwards: true },
      back: { on: { inside: 2 }, services: ["smb"] },
    },
  });
  const outside = await Outside.make(sandbox);
  const names = ["front", "front-http", "gate", "back", "back-smb"];
  const answers = await Promise.all(names.map((it) => outside.answers(name(it))));
  assert.deepEqual(answers, [true, true, true, false, false]);
}, { requirement: withOutside, socket: dockerSocket });

testApply("Applier.teardown() leaves Docker as it was", async (setup) => {
  const { sandbox } = setup;
  // Foreign objects.
  await sandbox.makeNetwork(`other-${sandbox.tag}`, { subnet: sandbox.subnet(8) });
  await sandbox.makeContainer(`other-${sandbox.tag}`);
  const list = async () => [await sandbox.networks(), await sandbox.containers()];
  const timeless = (lists: unknown) => JSON.stringify(lists).replace(/Up [\w ]+/g, "Up");
  const before = timeless(await list());
  await setup.apply(two);
  assert.notEqual(timeless(await list()), before);
  const { changes, steps } = await setup.teardown();
  assert.equal(changes, 6);
  const order = ["services", "bases", "network inside", "network dmz"];
  const turns = steps.map((step) => {
    const [, , name] = step.split(" ");
    return /network/.test(step) ? `network ${name}` : /-/.test(name!) ? "services" : "bases";
  });
  assert.deepEqual([...new Set(turns)], order);
  assert.equal(timeless(await list()), before);
  assert.equal(setup.row(), null);
});

testApply("Applier.teardown() removes a half broken topology", async (setup) => {
  const { sandbox, name, labels } = setup;
  await setup.apply(two);
  for (const decky of ["web", "files"]) await sandbox.disconnect(name("inside"), name(decky));
  await sandbox.docker.getNetwork(name("inside")).remove();
  await sandbox.docker.getContainer(name("web-http")).pause();
  await sandbox.kill(name("web"));
  await sandbox.remove(name("files"));
  await sandbox.makeContainer(name("new"), { labels, isStarted: false });
  const { changes } = await setup.teardown();
  assert.equal(changes, 5);
  await setup.assertTornDown();
});

testApply("Applier.teardown() waits for containers that are being removed", async (setup) => {
  const { sandbox } = setup;
  await setup.apply(two);
  const removals = (await sandbox.containers()).map(({ Id }) => sandbox.remove(Id));
  // The second removal gets 409 (already in progress) or 404.
  const [torn] = await Promise.all([setup.teardown(), Promise.allSettled(removals)]);
  assert.equal(torn.steps.filter((step) => /network/.test(step)).length, 2);
  await setup.assertTornDown();
});

testApply("Applier makes, fixes and removes a topology in Podman", async (setup) => {
  const { sandbox, name } = setup;
  await setup.apply(two);
  await setup.assertApplied(two);
  const addresses = [sandbox.address(0, 2), sandbox.address(1, 2)];
  assert.deepEqual(await addressesInside(sandbox, name("web")), addresses);
  assert.deepEqual(await addressesInside(sandbox, name("web-http")), addresses);
  assert.equal(
    await networkInside(sandbox, name("web-http")),
    await networkInside(sandbox, name("web")),
  );
  assert.equal(await hasDefaultRoute(sandbox, name("web")), true);
  assert.equal(await hasDefaultRoute(sandbox, name("files")), false);

  const before = await setup.ids();
  await sandbox.remove(name("files-smb"));
  await setup.apply(two);
  assert.deepEqual(changed(before, await setup.ids()), ["files-smb"]);

  const files = { on: { inside: 9 }, services: ["smb"] };
  const moved = { ...two, deckies: { ...two.deckies, files } };
  await setup.apply(moved);
  assert.deepEqual(changed(before, await setup.ids()), ["files", "files-smb"]);
  assert.equal((await setup.drift(moved)).state, "consistent");

  await sandbox.kill(name("web"));
  await setup.apply(moved);
  assert.equal((await setup.drift(moved)).state, "consistent");
  assert.equal(
    await networkInside(sandbox, name("web-http")),
    await networkInside(sandbox, name("web")),
  );

  await setup.teardown();
  await setup.assertTornDown();
}, podman);
