import assert from "node:assert/strict";
import { changed, testerOf } from "./apply_setup.ts";
import type { Sample } from "./apply_sample.ts";
import { addressesInside, hasDefaultRoute, networkInside } from "./inside.ts";
import { needsPodman, podmanSocket } from "./sockets.ts";

const test = testerOf(await needsPodman(), podmanSocket);
const sample: Sample = {
  lans: { dmz: 0, inside: 1 },
  deckies: {
    web: { on: { dmz: 2, inside: 2 }, services: ["http"], forwards: true },
    files: { on: { inside: 3 }, services: ["smb"] },
  },
};

test("Applier.apply() makes in Podman what it makes in Docker", async (setup) => {
  const { playground, name } = setup;
  await setup.apply(sample);
  assert.equal((await setup.drift(sample)).state, "consistent");
  assert.deepEqual((await setup.apply(sample)).calls, []);
  const addresses = [playground.address(0, 2), playground.address(1, 2)];
  assert.deepEqual(await addressesInside(playground, name("web")), addresses);
  assert.deepEqual(await addressesInside(playground, name("web-http")), addresses);
  assert.equal(
    await networkInside(playground, name("web-http")),
    await networkInside(playground, name("web")),
  );
  assert.equal(await hasDefaultRoute(playground, name("web")), true);
  assert.equal(await hasDefaultRoute(playground, name("files")), false);
});

test("Applier.apply() mends in Podman what was damaged", async (setup) => {
  const { playground, name } = setup;
  await setup.apply(sample);
  const before = await setup.ids();
  await playground.remove(name("files-smb"));
  await setup.apply(sample);
  assert.deepEqual(changed(before, await setup.ids()), ["files-smb"]);

  const files = { on: { inside: 9 }, services: ["smb"] };
  const moved = { ...sample, deckies: { ...sample.deckies, files } };
  await setup.apply(moved);
  assert.deepEqual(changed(before, await setup.ids()), ["files", "files-smb"]);
  assert.equal((await setup.drift(moved)).state, "consistent");

  await playground.kill(name("web"));
  await setup.apply(moved);
  assert.equal((await setup.drift(moved)).state, "consistent");
  assert.equal(
    await networkInside(playground, name("web-http")),
    await networkInside(playground, name("web")),
  );
});

test("Applier.teardown() leaves Podman as it was", async (setup) => {
  await setup.apply(sample);
  await setup.teardown();
  assert.equal((await setup.ids()).size, 0);
  assert.equal(setup.row(), null);
});
