import assert from "node:assert/strict";
import { type ApplySetup, testerOf } from "./apply_setup.ts";
import type { Sample } from "./apply_sample.ts";
import { needsDocker } from "./sockets.ts";

// An agent that is killed leaves calls behind that the engine still carries out: what they make or
// remove comes after the next one has looked.
const test = testerOf(await needsDocker());
const sample: Sample = {
  lans: { dmz: 0 },
  deckies: { web: { on: { dmz: 2 }, services: ["http"] }, mail: { on: { dmz: 3 } } },
};

/** Does something once, just before the engine gets a certain request. */
function before({ proxy }: ApplySetup, request: string, act: () => Promise<unknown>): void {
  proxy.onRequest = async (line) => {
    if (!line.startsWith(request)) return;
    proxy.onRequest = () => {};
    await act();
  };
}

test("Applier.apply() goes on when a container of its own turns up meanwhile", async (setup) => {
  const { playground, name, id } = setup;
  const create = `POST /containers/create?name=${name("web-http")}`;
  before(setup, create, () =>
    playground.makeContainer(name("web-http"), {
      labels: { "decnet.topology.id": id },
      base: name("web"),
      isStarted: false,
    }));
  await setup.apply(sample);
  assert.equal((await setup.drift(sample)).state, "consistent");
});

test("Applier.apply() goes on when a network of its own turns up meanwhile", async (setup) => {
  const { playground, name, id } = setup;
  before(setup, "POST /networks/create", () =>
    playground.makeNetwork(name("dmz"), {
      subnet: playground.subnet(0),
      labels: { "decnet.topology.id": id },
    }));
  await setup.apply(sample);
  assert.equal((await setup.drift(sample)).state, "consistent");
});

test("Applier.apply() goes on when a base goes meanwhile", async (setup) => {
  const { playground, name } = setup;
  const create = `POST /containers/create?name=${name("web-http")}`;
  before(setup, create, () => playground.remove(name("web")));
  await setup.apply(sample);
  assert.equal((await setup.drift(sample)).state, "consistent");
});

test("Applier.teardown() removes what turns up meanwhile", async (setup) => {
  const { playground, name, id } = setup;
  await setup.apply(sample);
  before(setup, "DELETE /networks/", async () => {
    const labels = { "decnet.topology.id": id };
    await playground.makeContainer(name("late"), { labels, isStarted: false });
    await playground.makeNetwork(name("later"), { subnet: playground.subnet(1), labels });
  });
  await setup.teardown();
  assert.deepEqual([...(await setup.ids()).keys()], []);
  assert.equal(setup.row(), null);
});
