import assert from "node:assert/strict";
import { damages, sample } from "./apply_damages.ts";
import { ApplySetup, changed, testerOf } from "./apply_setup.ts";
import { networkInside } from "./inside.ts";
import { needsDocker } from "./sockets.ts";

const docker = await needsDocker();
const test = testerOf(docker);

Deno.test({
  name: `Applier.apply() mends what was damaged, and nothing else${docker.suffix}`,
  ignore: docker.ignore,
  async fn(t) {
    docker.check();
    await using setup = await ApplySetup.open();
    await setup.apply(sample);
    for (const { name, make, anew, steps } of damages) {
      await t.step(name, async () => {
        const before = await setup.ids();
        await make(setup);
        assert.equal((await setup.drift(sample)).state, "drifted");
        const mended = await setup.apply(sample);
        assert.deepEqual([...mended.steps].sort(), [...steps].sort());
        assert.equal(mended.changes, steps.length);
        assert.deepEqual(changed(before, await setup.ids()), anew);
        assert.equal((await setup.drift(sample)).state, "consistent");
        assert.deepEqual((await setup.apply(sample)).calls, []);
        await assertShared(setup);
      });
    }
  },
});

/** Every service is in the network of its base. */
async function assertShared({ playground, name }: ApplySetup): Promise<void> {
  await Promise.all(
    Object.entries(sample.deckies).map(async ([decky, { services = [] }]) => {
      const names = [decky, ...services.map((service) => `${decky}-${service}`)];
      const networks = names.map((it) => networkInside(playground, name(it)));
      assert.equal(new Set(await Promise.all(networks)).size, 1, decky);
    }),
  );
}

test("Applier.apply() removes what carries its label and nobody planned", async (setup) => {
  const { playground, name, id } = setup;
  await setup.apply(sample);
  const before = await setup.ids();
  const labels = { "decnet.topology.id": id };
  await playground.makeNetwork(name("old"), { subnet: playground.subnet(9), labels });
  await playground.makeContainer(name("gone"), { labels });
  await playground.makeContainer(name("gone-ssh"), { labels, base: name("gone") });
  await playground.makeContainer(`unlabelled-${playground.tag}`);
  const { steps } = await setup.apply(sample);
  assert.deepEqual(steps, [
    "remove container gone-ssh",
    "remove container gone",
    "remove network old",
  ]);
  assert.deepEqual(changed(before, await setup.ids()), [`unlabelled-${playground.tag}`]);
});

test("Applier.apply() takes over what another program made for the same topology", async (setup) => {
  const { playground, name } = setup;
  const { lans, deckies: { files } } = sample;
  const alone = { lans: { inside: lans.inside! }, deckies: { files: files! } };
  await playground.makeNetwork(name("inside"), { subnet: playground.subnet(1) });
  const addresses = new Map([[name("inside"), playground.address(1, 3)]]);
  await playground.makeContainer(name("files"), { addresses });
  await playground.makeContainer(name("files-smb"), { base: name("files") });
  const before = await setup.ids();
  await setup.apply(alone);
  // The network is as planned, and the containers cannot be told to be.
  assert.deepEqual(changed(before, await setup.ids()), ["files", "files-smb"]);
  assert.deepEqual((await setup.apply(alone)).calls, []);
});
