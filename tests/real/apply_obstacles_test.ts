import assert from "node:assert/strict";
import { changed, testerOf } from "./apply_setup.ts";
import type { Sample } from "./apply_sample.ts";
import { needsDocker } from "./sockets.ts";

const test = testerOf(await needsDocker());
const web = { on: { dmz: 2 }, services: ["http"] };
const sample: Sample = { lans: { dmz: 0 }, deckies: { web } };

test("Applier.apply() names every missing image and changes nothing", async (setup) => {
  const { playground: { tag }, images } = setup;
  const mail = { on: { dmz: 3 }, services: ["smtp", "imap", "pop"], images: { pop: "no/pop:3" } };
  const missing = {
    base: `no-${tag}/base:1`,
    service: `no-${tag}/{service}:latest`,
    byService: new Map([["http", images.base]]),
  };
  const { kind, message, calls } = await setup.refusal(
    { ...sample, deckies: { web, mail } },
    { images: missing },
  );
  assert.equal(kind, "failed");
  const names = ["base:1", "smtp:latest", "imap:latest"].map((image) => `no-${tag}/${image}`);
  assert.equal(message, `images that are not on this host: ${[...names, "no/pop:3"].join(", ")}`);
  assert.deepEqual(calls, []);
  assert.equal((await setup.ids()).size, 0);
  const row = setup.row();
  assert.deepEqual(
    [row?.topologyId, row?.versionHash, row?.appliedAt, row?.lastError],
    [setup.id, "", 0, message.slice(0, 500)],
  );
  assert.equal(JSON.parse(row!.document).deckies.length, 2);

  await setup.apply(sample);
  assert.equal(setup.row()?.lastError, null);
});

test("Applier.apply() keeps what was applied when the next document cannot be", async (setup) => {
  await setup.apply(sample);
  const before = await setup.ids();
  const row = setup.row()!;
  const { message, calls } = await setup.refusal({
    ...sample,
    deckies: { web: { ...web, images: { http: "no/such:1" } } },
  });
  assert.deepEqual(calls, []);
  assert.deepEqual(changed(before, await setup.ids()), []);
  assert.deepEqual(setup.row(), { ...row, lastError: message });
});

test("Applier.apply() names a foreign network that has taken a subnet", async (setup) => {
  const { playground } = setup;
  await playground.makeNetwork(`foreign-${playground.tag}`, { subnet: playground.subnet(7) });
  const before = await setup.ids();
  const { message, calls } = await setup.refusal({
    lans: { dmz: 0, inside: 7 },
    deckies: {
      gate: { on: { dmz: 2, inside: 2 } },
    },
  });
  assert.equal(
    message,
    `subnet ${playground.subnet(7)} of ${setup.name("inside")} is taken by network ` +
      `foreign-${playground.tag} (${playground.subnet(7)})`,
  );
  assert.deepEqual(calls, []);
  assert.deepEqual(changed(before, await setup.ids()), []);
  await setup.teardown();
  assert.deepEqual(changed(before, await setup.ids()), []);
});

for (
  const [what, wish] of [
    ["another subnet", { subnet: 5, labels: {} }],
    ["another topology's label", { subnet: 0, labels: { "decnet.topology.id": "another" } }],
  ] as const
) {
  test(`Applier.apply() leaves alone a network of its name with ${what}`, async (setup) => {
    const { playground, name } = setup;
    const subnet = playground.subnet(wish.subnet);
    await playground.makeNetwork(name("dmz"), { subnet, labels: wish.labels });
    const before = await setup.ids();
    const { kind, message, calls } = await setup.refusal(sample);
    assert.equal(kind, "failed");
    assert.ok(message.startsWith(`network ${name("dmz")} exists and is not of this`), message);
    assert.deepEqual(calls, []);
    await setup.teardown();
    assert.deepEqual(changed(before, await setup.ids()), []);
  });
}

for (
  const [what, labels] of [
    ["no label", {}],
    ["another topology's label", { "decnet.topology.id": "another" }],
  ] as const
) {
  test(`Applier.apply() leaves alone containers of its names with ${what}`, async (setup) => {
    const { playground, name } = setup;
    await playground.makeContainer(name("web"), { labels });
    await playground.makeContainer(name("web-http"), { labels, isStarted: false });
    const before = await setup.ids();
    const { kind, message, calls } = await setup.refusal(sample);
    assert.equal(kind, "failed");
    for (const container of ["web", "web-http"]) {
      assert.ok(message.includes(`container ${name(container)} exists and is not`), message);
    }
    assert.deepEqual(calls, []);
    await setup.teardown();
    assert.deepEqual(changed(before, await setup.ids()), []);
  });
}

test("Applier names a foreign container on a network that would have to go", async (setup) => {
  const { playground, name } = setup;
  const guest = `guest-${playground.tag}`;
  await setup.apply(sample);
  const addresses = new Map([[name("dmz"), playground.address(0, 99)]]);
  await playground.makeContainer(guest, { addresses });
  const before = await setup.ids();
  const obstacle = `container ${guest}, which is not of this topology, uses network ${name("dmz")}`;

  const elsewhere = await setup.refusal({ ...sample, lans: { dmz: 1 } });
  assert.deepEqual([elsewhere.message, elsewhere.calls], [obstacle, []]);
  const teardown = await setup.teardownRefusal();
  assert.deepEqual([teardown.message, teardown.calls], [obstacle, []]);
  assert.equal(setup.row()?.lastError, obstacle);
  assert.deepEqual(changed(before, await setup.ids()), []);
  // It is in nobody's way otherwise.
  await playground.remove(name("web"));
  await setup.apply(sample);

  await playground.kill(guest);
  await setup.teardown();
  assert.deepEqual([...(await setup.ids()).keys()], [guest]);
});

/** Another topology; its names lead with nothing of the playground's, so they end with it. */
function another(tag: string): Sample {
  return {
    id: `${[...tag].reverse().join("")}-another`,
    lans: { [`lan-${tag}`]: 0 },
    deckies: { [`web-${tag}`]: { on: { [`lan-${tag}`]: 2 }, services: ["http"] } },
  };
}

test("Applier.apply() refuses another topology and asks Docker for nothing", async (setup) => {
  await setup.apply(sample);
  const before = await setup.ids();
  const row = setup.row();
  const other = another(setup.playground.tag);
  const { kind, message, calls } = await setup.refusal(other);
  assert.equal(kind, "conflict");
  assert.equal(
    message,
    `agent already has topology '${setup.id}'; cannot apply '${other.id}'`,
  );
  assert.deepEqual([calls, setup.proxy.requests], [[], []]);
  assert.deepEqual(changed(before, await setup.ids()), []);
  assert.deepEqual(setup.row(), row);
});

test("Applier.apply() supersedes another topology, on the same subnets, when it may", async (setup) => {
  await setup.apply(sample);
  const other = another(setup.playground.tag);
  await setup.apply(other, { supersede: true });
  assert.deepEqual((await setup.playground.networks()).map(({ Labels }) => Labels), [
    { ...(await setup.playground.networks())[0]!.Labels, "decnet.topology.id": other.id! },
  ]);
  const names = [...(await setup.ids()).keys()];
  assert.equal(names.length, 3);
  assert.ok(names.every((name) => name.includes("_")), names.join());
  assert.equal(setup.row()?.topologyId, other.id);
  assert.deepEqual((await setup.apply(other, { supersede: true })).calls, []);
});

test("Applier.apply() keeps the topology that it may supersede when an image is missing", async (setup) => {
  await setup.apply(sample);
  const before = await setup.ids();
  const images = { ...setup.images, base: "no/such:1" };
  const { message, calls } = await setup.refusal(another(setup.playground.tag), {
    supersede: true,
    images,
  });
  assert.equal(message, "images that are not on this host: no/such:1");
  assert.deepEqual(calls, []);
  assert.deepEqual(changed(before, await setup.ids()), []);
  assert.equal(setup.row()?.topologyId, setup.id);
});

test("Applier.apply() finishes what an apply has left behind that failed halfway", async (setup) => {
  const { playground, name } = setup;
  const image = `decnet-agent-test-${playground.tag}-broken:1`;
  await playground.importImage(image, { command: "/missing" });
  const broken = { ...web, images: { http: image } };
  const failed = await setup.refusal({ ...sample, deckies: { web: broken } });
  assert.equal(failed.kind, "failed");
  assert.ok(failed.message.startsWith(`Cannot create container ${name("web-http")}: `));
  assert.ok(failed.calls.length > 0);
  assert.equal(setup.row()?.lastError, failed.message.slice(0, 500));
  assert.equal(setup.row()?.versionHash, "");
  const before = await setup.ids();
  assert.deepEqual([...before.keys()], ["dmz", "web", "web-http"]);

  await setup.apply(sample);
  assert.deepEqual(changed(before, await setup.ids()), ["web-http"]);
  assert.equal((await setup.drift(sample)).state, "consistent");
  await setup.refusal({ ...sample, deckies: { web: broken } });
  await setup.teardown();
  assert.equal((await setup.ids()).size, 0);
});
