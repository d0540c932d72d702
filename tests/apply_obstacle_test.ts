import assert from "node:assert/strict";
import type { Candidate } from "../apply/mod.ts";
import { TopologyStore } from "../store/mod.ts";
import { defaultImages, parseJson, planTopology, readTopology } from "../topology/mod.ts";
import { type ApplyHost, oneLan, refusalOf, threeLans, withHost } from "./apply_host.ts";
import { container, network } from "./engine/mod.ts";

const id = threeLans.plan.topologyId;
const prefix = "decnet_t_7c9e6679_";
const labels = { "decnet.topology.id": id };

/** Adds objects to those that the engine has. */
function add(host: ApplyHost, more: Partial<Pick<ApplyHost["engine"], "networks" | "containers">>) {
  const { engine } = host;
  engine.networks = [...engine.networks, ...(more.networks ?? [])];
  engine.containers = [...engine.containers, ...(more.containers ?? [])];
}

const foreign = network({ name: `${prefix}lan-01`, driver: "macvlan", subnet: "10.5.0.0/24" });
const obstacles: [what: string, prepare: (host: ApplyHost) => void, message: RegExp][] = [
  [
    "a foreign network bears a planned name",
    (host) => add(host, { networks: [foreign] }),
    /^network decnet_t_7c9e6679_lan-01 exists and is not of this topology \(driver macvlan, 10\.5/,
  ],
  [
    "a foreign container bears a planned name",
    (host) => add(host, { containers: [container({ name: `${prefix}decky-003` })] }),
    /^container decnet_t_7c9e6679_decky-003 exists and is not of this topology \(without our label\)/,
  ],
  [
    "a subnet is taken",
    (host) => add(host, { networks: [network({ name: "taken", subnet: "198.18.1.77/16" })] }),
    /^subnet 198\.18\.0\.0\/24 of decnet_t_7c9e6679_lan-00 is taken by network taken \(198\.18\.1\.77\/16/,
  ],
  [
    "images are missing",
    (host) => ["decnet/smb", "decnet/mysql"].forEach((name) => host.engine.images.delete(name)),
    /^images that are not on this host: decnet\/smb:latest, decnet\/mysql:latest$/,
  ],
  [
    "a stranger uses a network that is to go",
    (host) => {
      const old = network({ name: `${prefix}old`, subnet: "10.4.0.0/24", labels });
      const addresses = { [old.Name]: "10.4.0.9" };
      add(host, { networks: [old], containers: [container({ name: "stranger", addresses })] });
    },
    /^container stranger, which is not of this topology, uses network decnet_t_7c9e6679_old$/,
  ],
];
for (const [what, prepare, message] of obstacles) {
  Deno.test(`Applier.apply() changes nothing when ${what}`, () =>
    withHost(async (host) => {
      prepare(host);
      const refusal = await refusalOf(host.apply(threeLans));
      assert.equal(refusal.kind, "failed");
      assert.match(refusal.message, message);
      assert.deepEqual(host.changes(), []);
      const row = host.row();
      assert.deepEqual([row?.topologyId, row?.versionHash, row?.appliedAt], [id, "", 0]);
      assert.equal(row?.lastError, refusal.message.slice(0, 500));
      host.assertOthers();
    }));
}

/** A topology on the one subnet in which every machine has an address; no document may say so. */
const loopback: Candidate = {
  ...oneLan,
  plan: await planTopology(
    readTopology(parseJson(oneLan.text.replaceAll("198.19.0.", "127.0.0."))),
    defaultImages,
  ),
};
const loopbackLan = loopback.plan.networks[0]!;

Deno.test("Applier.apply() changes nothing when the host itself has an address in a subnet", () =>
  withHost(async (host) => {
    const { message } = await refusalOf(host.apply(loopback));
    assert.match(
      message,
      /^subnet 127\.0\.0\.0\/24 of \S+lan-00 holds an address of this host's int/,
    );
    assert.deepEqual(host.changes(), []);
  }));

Deno.test("Applier.apply() takes the subnet of a network that goes, the host's address included", () =>
  withHost(async (host) => {
    const { name, subnet } = loopbackLan;
    for (const label of [loopback.plan.topologyId, "an older one"]) {
      const old = { name, subnet, internal: true, labels: { "decnet.topology.id": label } };
      add(host, { networks: [network(old)] });
      using store = TopologyStore.open(host.storePath);
      store.put(label, "h", "{}");
      await host.apply(loopback, { supersede: true });
      const made = host.engine.networks.filter((it) => it.Name === name);
      assert.deepEqual(made.map(({ Internal }) => Internal), [false]);
      await host.teardown(loopback.plan.topologyId);
      host.assertNothingLeft();
    }
  }));

Deno.test("Applier.apply() names all that is in its way, and keeps the first 500 characters", () =>
  withHost(async (host) => {
    const { containers } = threeLans.plan;
    add(host, { containers: containers.map(({ name }) => container({ name })) });
    const { message } = await refusalOf(host.apply(threeLans));
    for (const { name } of containers) assert.ok(message.includes(`container ${name} exists`));
    assert.ok(message.length > 600);
    assert.equal(host.row()?.lastError, message.slice(0, 500));
    assert.deepEqual(host.changes(), []);
  }));

Deno.test("Applier changes nothing when a stranger uses a network that a teardown would remove", () =>
  withHost(async (host) => {
    await host.apply(threeLans);
    const before = host.engine.changes.length;
    const stranger = container({
      name: "stranger",
      addresses: { [`${prefix}lan-01`]: "198.18.1.9" },
    });
    add(host, { containers: [stranger] });
    const { kind, message } = await refusalOf(host.teardown(id));
    assert.equal(kind, "failed");
    assert.match(message, /^container stranger, which is not of this topology, uses network \S+$/);
    assert.deepEqual(host.changes(before), []);
    assert.equal(host.row()?.lastError, message);
    assert.equal(host.row()?.versionHash, threeLans.versionHash);
  }));
