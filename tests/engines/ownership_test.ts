import assert from "node:assert/strict";
import { type ApplySetup, type Sample, type SampleDecky, testApply } from "./apply_setup.ts";
import { docker, podman } from "./engines.ts";

const sample: Sample = {
  lans: { dmz: 0, inside: 1 },
  deckies: {
    web: { on: { dmz: 2, inside: 2 }, services: ["http"] },
    files: { on: { inside: 3 }, services: ["smb"] },
  },
};

const copied = "its labels came with its image";
const renamed = "its label names this topology, its name does not";

/** A container that no apply and no teardown may remove, with its volume. */
interface Kept {
  readonly id: string;
  readonly volume: string;
}

async function inspect({ sandbox }: ApplySetup, id: string): Promise<Kept> {
  const { Id, Mounts } = await sandbox.docker.getContainer(id).inspect();
  return { id: Id, volume: (Mounts as { Name?: string }[])[0]!.Name! };
}

async function assertKept({ sandbox }: ApplySetup, kept: readonly Kept[]): Promise<void> {
  for (const { id, volume } of kept) {
    assert.equal((await sandbox.docker.getContainer(id).inspect()).Id, id);
    assert.equal((await sandbox.docker.getVolume(volume).inspect()).Name, volume);
  }
}

for (const engine of [docker, podman]) {
  testApply(`Applier leaves what only has our labels, in ${engine.name}`, async (setup) => {
    const { sandbox, name, labels } = setup;
    const outside = (short: string) => `${short}-${sandbox.tag}`;
    await setup.apply(sample);

    const evidence = await sandbox.commit(name("web-http"));
    await sandbox.makeContainer(outside("plain"), { volume: "/data" });
    const payroll = await sandbox.commit(outside("plain"), labels);
    const volume = "/notes";
    const made = [
      await sandbox.makeContainer(outside("analysis"), { image: evidence, volume }),
      await sandbox.makeContainer(name("analysis"), { image: evidence, volume }),
      await sandbox.makeContainer(name("web-copy"), { image: evidence, volume, isStarted: false }),
      await sandbox.makeContainer(outside("payroll-db"), { image: payroll, volume }),
      await sandbox.makeContainer(name("payroll-db"), { image: payroll, volume }),
    ];
    const unnamed = await sandbox.docker.createContainer({
      Image: evidence,
      Cmd: ["/pause"],
      Volumes: { [volume]: {} },
      HostConfig: { NetworkMode: "none" },
    });
    if (engine === docker) {
      // Its image is gone, and could have handed its labels on. Podman would remove it with the image.
      const image = await sandbox.commit(outside("plain"), labels);
      const options = { image, volume, isStarted: false };
      made.push(await sandbox.makeContainer(name("gone-db"), options));
      await sandbox.docker.getImage(image).remove({ force: true });
    }
    try {
      const kept = [];
      for (const id of [...made, unnamed.id]) kept.push(await inspect(setup, id));
      await sandbox.kill(name("files-smb"));
      const smb = sandbox.docker.getContainer(name("files-smb"));
      const { Id: smbId } = await smb.inspect();
      await smb.rename({ name: outside("kept") });

      const { steps } = await setup.apply(sample);
      assert.deepEqual(steps, ["create container files-smb"]);
      const { state, unexpected } = await setup.drift(sample);
      assert.equal(state, "drifted");
      assert.deepEqual(
        Object.fromEntries(unexpected.map(({ name, detail }) => [name, detail])),
        {
          [outside("analysis")]: `running, ${copied}`,
          [name("analysis")]: `running, ${copied}`,
          [name("web-copy")]: `created, ${copied}`,
          [outside("kept")]: `exited, ${renamed}`,
          [outside("payroll-db")]: `running, ${renamed}`,
          // Only an apply and a teardown ask for the labels of an image.
          [name("payroll-db")]: "running, of this topology",
          ...(engine === docker && { [name("gone-db")]: "created, of this topology" }),
        },
      );
      await assertKept(setup, kept);

      if (engine === podman) {
        // Podman removes no container that another one depends on, running or not.
        const { message, calls } = await setup.teardownRefusal();
        const obstacle = `container ${outside("kept")}, which does not belong to this topology, ` +
          `shares the network of container ${name("files")}: stop or remove it`;
        assert.deepEqual([message, calls], [obstacle, []]);
        await sandbox.remove(outside("kept"));
      }
      // Another image comes under the name of the one that the decoys were made from.
      await sandbox.importImage(setup.planOptions.images.base);
      await setup.apply(sample);
      await assertKept(setup, kept);

      await setup.teardown();
      await assertKept(setup, kept);
      if (engine === docker) {
        assert.equal((await sandbox.docker.getContainer(outside("kept")).inspect()).Id, smbId);
      }
      assert.deepEqual(await sandbox.networks(), []);
      assert.equal((await setup.teardown()).changes, 0);
    } finally {
      await unnamed.remove({ force: true, v: true });
    }
  }, engine);
}

for (const engine of [docker, podman]) {
  testApply(`Applier names who shares the network of a base, in ${engine.name}`, async (setup) => {
    const { sandbox, name } = setup;
    const guest = `guest-${sandbox.tag}`;
    await setup.apply(sample);
    await sandbox.makeContainer(guest, { base: name("files") });
    const before = await setup.ids();
    const shares =
      `container ${guest}, which does not belong to this topology, shares the network ` +
      `of container ${name("files")}: stop or remove it`;
    const moved = { ...sample.deckies, files: { on: { inside: 9 }, services: ["smb"] } };
    const { message, calls } = await setup.refusal({ ...sample, deckies: moved });
    assert.deepEqual([message, calls], [shares, []]);
    const torn = await setup.teardownRefusal();
    // Podman lists the networks that it shares as its own.
    const uses = `container ${guest}, which does not belong to this topology, uses network ` +
      `${name("inside")}: stop or remove it`;
    assert.ok([shares, uses].includes(torn.message), torn.message);
    assert.deepEqual(torn.calls, []);
    assert.deepEqual(await setup.ids(), before);
    // Other changes are possible.
    await sandbox.remove(name("web-http"));
    await setup.apply(sample);
    // Podman removes no container that another one depends on, running or not.
    await (engine === docker ? sandbox.kill(guest) : sandbox.remove(guest));
    await setup.teardown();
    assert.deepEqual([...(await setup.ids()).keys()], engine === docker ? [guest] : []);
  }, engine);
}

for (const engine of [docker, podman]) {
  testApply(
    `Applier.teardown() of 32 takes 3 s or twice its apply in ${engine.name}`,
    async (setup) => {
      const deckies = Object.fromEntries(
        Array.from({ length: 16 }, (_, index): [string, SampleDecky] => [
          `d${index}`,
          { on: { dmz: 2 + index }, services: ["ssh"] },
        ]),
      );
      const startedAt = performance.now();
      await setup.apply({ lans: { dmz: 0 }, deckies });
      assert.equal((await setup.sandbox.containers()).length, 32);
      const appliedAt = performance.now();
      await setup.teardown();
      const tookMs = performance.now() - appliedAt;
      await setup.assertTornDown();
      // A busy machine takes longer for both.
      const limitMs = Math.max(3_000, 2 * (appliedAt - startedAt));
      assert.ok(tookMs < limitMs, `${tookMs} ms, of ${limitMs} ms`);
    },
    engine,
  );
}

testApply("Applier names a renamed base that has an address of the plan", async (setup) => {
  const { sandbox, name } = setup;
  const kept = `kept-${sandbox.tag}`;
  await setup.apply(sample);
  const { Id } = await sandbox.docker.getContainer(name("files")).inspect();
  await sandbox.docker.getContainer(name("files")).rename({ name: kept });
  const { message, calls } = await setup.refusal(sample);
  const foreign = `container ${kept}, which does not belong to this topology, has the address ` +
    `${sandbox.address(1, 3)} on ${name("inside")}: stop or remove it`;
  assert.deepEqual([message, calls], [foreign, []]);
  await sandbox.kill(kept);
  await setup.apply(sample);
  assert.equal((await sandbox.docker.getContainer(kept).inspect()).Id, Id);
  await setup.teardown();
  assert.equal((await sandbox.docker.getContainer(kept).inspect()).Id, Id);
});
