import assert from "node:assert/strict";
import { TopologyStore } from "../../store/mod.ts";
import { type ApplySetup, testerOf } from "./apply_setup.ts";
import type { Sample } from "./apply_sample.ts";
import { needsDocker } from "./sockets.ts";

const test = testerOf(await needsDocker());
const sample: Sample = {
  lans: { dmz: 0, inside: 1 },
  deckies: {
    web: { on: { dmz: 2, inside: 2 }, services: ["http"] },
    files: { on: { inside: 3 }, services: ["smb"] },
  },
};
const names = ["dmz", "files", "files-smb", "inside", "web", "web-http"];

/** Puts something into the store, or takes it out. */
function changeStore({ storePath }: ApplySetup, change: (store: TopologyStore) => void): void {
  using store = TopologyStore.open(storePath);
  change(store);
}

async function assertNothingLeft(setup: ApplySetup): Promise<void> {
  assert.deepEqual([...(await setup.ids()).keys()], []);
  assert.equal(setup.row(), null);
}

test("Applier.teardown() leaves Docker as it was", async (setup) => {
  const { playground } = setup;
  // What is there before, and no part of it.
  await playground.makeNetwork(`other-${playground.tag}`, { subnet: playground.subnet(8) });
  await playground.makeContainer(`other-${playground.tag}`);
  const list = async () => [await playground.networks(), await playground.containers()];
  const timeless = (lists: unknown) => JSON.stringify(lists).replace(/Up [\w ]+/g, "Up");
  const before = timeless(await list());
  await setup.apply(sample);
  assert.notEqual(timeless(await list()), before);
  const { changes, steps } = await setup.teardown();
  assert.equal(changes, names.length);
  const order = ["services", "bases", "network inside", "network dmz"];
  const turns = steps.map((step) => {
    const [, , name] = step.split(" ");
    return /network/.test(step) ? `network ${name}` : /-/.test(name!) ? "services" : "bases";
  });
  assert.deepEqual([...new Set(turns)], order);
  assert.equal(timeless(await list()), before);
  assert.equal(setup.row(), null);
});

test("Applier.teardown() of what is not there, or not any more, changes nothing", async (setup) => {
  assert.deepEqual(await setup.teardown("unknown"), { changes: 0, calls: [], steps: [] });
  await setup.apply(sample);
  const row = setup.row();
  assert.deepEqual((await setup.teardown("unknown")).calls, []);
  assert.deepEqual(setup.row(), row);
  await setup.teardown();
  assert.deepEqual(await setup.teardown(), { changes: 0, calls: [], steps: [] });
  await assertNothingLeft(setup);
});

test("Applier.teardown() goes by the labels when the store knows nothing", async (setup) => {
  await setup.apply(sample);
  changeStore(setup, (store) => store.clear(setup.id));
  assert.equal((await setup.teardown()).changes, names.length);
  await assertNothingLeft(setup);
});

test("Applier.teardown() goes by the labels when the document is of no use", async (setup) => {
  await setup.apply(sample);
  changeStore(setup, (store) => store.put(setup.id, "", '{"topology":7}'));
  assert.equal((await setup.teardown()).changes, names.length);
  await assertNothingLeft(setup);
});

test("Applier.teardown() takes down what is half broken", async (setup) => {
  const { playground, name, id } = setup;
  await setup.apply(sample);
  for (const decky of ["web", "files"]) await playground.disconnect(name("inside"), name(decky));
  await playground.docker.getNetwork(name("inside")).remove();
  await playground.docker.getContainer(name("web-http")).pause();
  await playground.kill(name("web"));
  await playground.remove(name("files"));
  await playground.makeContainer(name("new"), {
    labels: { "decnet.topology.id": id },
    isStarted: false,
  });
  const { changes } = await setup.teardown();
  assert.equal(changes, 5);
  await assertNothingLeft(setup);
});

test("Applier.teardown() removes what is not labelled and was applied by name", async (setup) => {
  const { playground, name } = setup;
  const { lans, deckies } = sample;
  changeStore(setup, (store) => {
    store.put(setup.id, "fa61", JSON.stringify(setup.document(sample)));
  });
  for (const [lan, number] of Object.entries(lans)) {
    await playground.makeNetwork(name(lan), { subnet: playground.subnet(number) });
  }
  // As the first agent, and somebody who knows better, may have made it.
  for (const [decky, { on, services = [] }] of Object.entries(deckies)) {
    const addresses = Object.entries(on).map(([lan, host]) =>
      [name(lan), playground.address(lans[lan]!, 50 + host)] as const
    );
    await playground.makeContainer(name(decky), { addresses: new Map(addresses) });
    for (const service of services) {
      await playground.makeContainer(name(`${decky}-${service}`), { base: name(decky) });
    }
  }
  await playground.makeContainer(name("web-foreign"), { labels: { mine: "yes" } });
  await playground.makeContainer(name("web-2"), { labels: { "decnet.topology.id": "another" } });
  await setup.teardown();
  assert.deepEqual([...(await setup.ids()).keys()], ["web-2", "web-foreign"]);
  assert.equal(setup.row(), null);
});

test("Applier.teardown() waits for containers that somebody else is removing", async (setup) => {
  const { playground } = setup;
  await setup.apply(sample);
  const removals = (await playground.containers()).map(({ Id }) => playground.remove(Id));
  // Whoever comes second is told that it is under way, or that it is gone.
  const [torn] = await Promise.all([setup.teardown(), Promise.allSettled(removals)]);
  assert.equal(torn.steps.filter((step) => /network/.test(step)).length, 2);
  await assertNothingLeft(setup);
});
