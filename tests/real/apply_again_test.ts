import assert from "node:assert/strict";
import { changed, testerOf } from "./apply_setup.ts";
import type { Sample } from "./apply_sample.ts";
import { addressesInside } from "./inside.ts";
import { needsDocker } from "./sockets.ts";

const test = testerOf(await needsDocker());
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

test("Applier.apply() changes nothing when the same is pushed again", async (setup) => {
  const first = await setup.apply(two);
  // The counting counts.
  assert.equal(first.calls.filter((call) => call === "POST /networks/create").length, 2);
  assert.equal(first.calls.filter((call) => call === "POST /containers/create").length, 4);
  const before = await setup.ids();
  assert.deepEqual(await setup.apply(two), { changes: 0, calls: [], steps: [] });

  // Nor when the document differs in what is no part of Docker.
  const row = setup.row()!;
  const document = JSON.parse(row.document);
  document.topology.needs_resync = true;
  document.deckies.reverse();
  assert.deepEqual(await setup.apply(document), { changes: 0, calls: [], steps: [] });
  assert.notEqual(setup.row()?.versionHash, row.versionHash);
  assert.deepEqual(changed(before, await setup.ids()), []);
});

test("Applier.apply() makes a decky of another address anew, alone", async (setup) => {
  await setup.apply(two);
  const before = await setup.ids();
  const files = { on: { inside: 9 }, services: ["smb"] };
  const { steps } = await setup.apply(withDeckies({ files }));
  assert.deepEqual(changed(before, await setup.ids()), ["files", "files-smb"]);
  assert.equal(steps.length, 4);
  assert.deepEqual(
    await addressesInside(setup.playground, setup.name("files-smb")),
    [setup.playground.address(1, 9)],
  );
});

test("Applier.apply() exchanges the addresses of two deckies", async (setup) => {
  const sample = (web: number, files: number): Sample => ({
    lans: { dmz: 0 },
    deckies: { web: { on: { dmz: web } }, files: { on: { dmz: files } } },
  });
  await setup.apply(sample(2, 3));
  await setup.apply(sample(3, 2));
  assert.equal((await setup.drift(sample(3, 2))).state, "consistent");
});

test("Applier.apply() makes a service anew whose image is another, alone", async (setup) => {
  const { playground, name } = setup;
  const image = `decnet-agent-test-${playground.tag}-smb:1`;
  const files = { ...two.deckies.files!, images: { smb: image } };
  const imageOf = async (container: string): Promise<string> =>
    (await playground.docker.getContainer(name(container)).inspect()).Image;
  await setup.apply(two);

  const before = await setup.ids();
  const other = await playground.importImage(image);
  await setup.apply(withDeckies({ files }));
  assert.deepEqual(changed(before, await setup.ids()), ["files-smb"]);
  assert.equal(await imageOf("files-smb"), other);

  // A newer one of the same name.
  const between = await setup.ids();
  const newer = await playground.importImage(image);
  await setup.apply(withDeckies({ files }));
  assert.deepEqual(changed(between, await setup.ids()), ["files-smb"]);
  assert.equal(await imageOf("files-smb"), newer);
  assert.deepEqual((await setup.apply(withDeckies({ files }))).calls, []);

  // Without any, what runs is left alone.
  await playground.docker.getImage(image).remove({ force: true, noprune: true });
  assert.deepEqual((await setup.apply(withDeckies({ files }))).calls, []);
});

test("Applier.apply() adds and removes services, deckies and LANs, and nothing else", async (setup) => {
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

test("Applier.apply() makes a LAN that is otherwise anew, and what is on it", async (setup) => {
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
  const internal = (await setup.playground.networks()).map((it) => [it.Name, it.Internal]);
  assert.deepEqual(internal.sort(), [[name("dmz"), true], [name("inside"), false]]);
});
