import assert from "node:assert/strict";
import { driftKinds } from "../../topology/drift.ts";
import { writeJson } from "../../topology/json.ts";
import { execute, spawn } from "../support/executable.ts";
import {
  type ApplySetup,
  changed,
  type Sample,
  type SampleDecky,
  testApply,
} from "./apply_setup.ts";
import { docker, dockerSocket, podman } from "./engines.ts";

const web = { on: { dmz: 2 }, services: ["http"] };
const sample: Sample = { lans: { dmz: 0 }, deckies: { web } };
const otherLabel = { "decnet.topology.id": "another" };

for (const [what, labels] of [["no label", {}], ["another's label", otherLabel]] as const) {
  testApply(`Applier leaves foreign objects with ${what} alone`, async (setup) => {
    const { sandbox, name } = setup;
    const [foreign, subnet] = [`foreign-${sandbox.tag}`, sandbox.subnet(7)];
    await sandbox.makeNetwork(name("dmz"), { subnet: sandbox.subnet(5), labels });
    await sandbox.makeNetwork(foreign, { subnet });
    await sandbox.makeContainer(name("web"), { labels });
    await sandbox.makeContainer(name("web-http"), { labels, isStarted: false });
    const before = await setup.ids();
    const { kind, message, calls } = await setup.refusal({
      lans: { dmz: 0, inside: 7 },
      deckies: { web: { ...web, on: { dmz: 2, inside: 2 } } },
    });
    assert.equal(kind, "failed");
    const obstacles = [
      `network ${name("dmz")} exists and does not belong to this topology`,
      `subnet ${subnet} of ${name("inside")} is taken by network ${foreign} (${subnet})`,
      `container ${name("web")} exists and does not belong to this topology`,
      `container ${name("web-http")} exists and does not belong to this topology`,
    ];
    for (const obstacle of obstacles) assert.ok(message.includes(obstacle), message);
    assert.deepEqual(calls, []);
    await setup.teardown();
    assert.deepEqual(changed(before, await setup.ids()), []);
  });
}

testApply("Applier names a foreign container on a network that must go", async (setup) => {
  const { sandbox, name } = setup;
  const guest = `guest-${sandbox.tag}`;
  await setup.apply(sample);
  const addresses = new Map([[name("dmz"), sandbox.address(0, 99)]]);
  await sandbox.makeContainer(guest, { addresses });
  const before = await setup.ids();
  const obstacle = `container ${guest}, which does not belong to this topology, uses network ${
    name("dmz")
  }: stop or remove it`;

  const elsewhere = await setup.refusal({ ...sample, lans: { dmz: 1 } });
  assert.deepEqual([elsewhere.message, elsewhere.calls], [obstacle, []]);
  const teardown = await setup.teardownRefusal();
  assert.deepEqual([teardown.message, teardown.calls], [obstacle, []]);
  assert.equal(setup.row()?.lastError, obstacle);
  assert.deepEqual(changed(before, await setup.ids()), []);
  // Other changes are possible.
  await sandbox.remove(name("web"));
  await setup.apply(sample);

  await sandbox.kill(guest);
  await setup.teardown();
  assert.deepEqual([...(await setup.ids()).keys()], [guest]);
});

/** Another topology; its names end with the sandbox's tag, as their beginning is given by its id. */
function another(tag: string): Sample {
  return {
    id: `${[...tag].reverse().join("")}-another`,
    lans: { [`lan-${tag}`]: 0 },
    deckies: { [`web-${tag}`]: { on: { [`lan-${tag}`]: 2 }, services: ["http"] } },
  };
}

for (const engine of [docker, podman]) {
  testApply(`Applier supersedes nothing that others share, in ${engine.name}`, async (setup) => {
    const { sandbox, name, storePath } = setup;
    const other = another(sandbox.tag);
    const guest = `guest-${sandbox.tag}`;
    const assertRefused = async (pushed: Sample, base: string) => {
      await sandbox.makeContainer(guest, { base });
      const row = setup.row();
      const { message, calls } = await setup.refusal(pushed, { supersede: true });
      assert.match(message, new RegExp(`^container ${guest}, which does not belong to`));
      assert.deepEqual([calls, setup.row()], [[], row]);
      await sandbox.remove(guest);
    };
    await setup.apply(sample);
    await assertRefused(other, name("web"));
    await setup.apply(other, { supersede: true });
    // Its objects stay in Docker, while the store holds another topology.
    Deno.removeSync(storePath);
    await setup.apply({ lans: { dmz: 1 }, deckies: { web } });
    const moved = {
      ...other,
      deckies: { [`web-${sandbox.tag}`]: { on: { [`lan-${sandbox.tag}`]: 9 } } },
    };
    await assertRefused(moved, `decnet_t_${other.id!.slice(0, 8)}_web-${sandbox.tag}`);
    await setup.apply(moved, { supersede: true });
  }, engine);
}

testApply("Applier.apply() finishes an apply that failed halfway", async (setup) => {
  const { sandbox, name } = setup;
  const image = `decnet-agent-test-${sandbox.tag}-broken:1`;
  await sandbox.importImage(image, { command: "/missing" });
  const broken = { ...web, images: { http: image } };
  const failed = await setup.refusal({ ...sample, deckies: { web: broken } });
  assert.equal(failed.kind, "failed");
  // It was created, and was then tried to be started once more.
  assert.ok(failed.message.startsWith(`Cannot start container ${name("web-http")}: `));
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
  await setup.assertTornDown();
});

for (const engine of [docker, podman]) {
  testApply(`M25 an error that left nothing gives way, on ${engine.name}`, async (setup) => {
    const { sandbox, name } = setup;
    const other = another(sandbox.tag);
    const image = `decnet-agent-test-${sandbox.tag}-broken:1`;
    const broken = { ...sample, deckies: { web: { ...web, images: { http: image } } } };
    assert.match((await setup.refusal(broken)).message, /^missing images: /);
    await setup.apply(other);
    await setup.assertApplied(other);
    await setup.teardown(other.id);

    await sandbox.importImage(image, { command: "/missing" });
    assert.equal((await setup.refusal(broken)).kind, "failed");
    assert.equal(setup.row()?.versionHash, "");
    const { kind, message, calls } = await setup.refusal(other);
    const left = `1 network and 2 containers of it are left: ` +
      `${name("dmz")}, ${name("web")}, ${name("web-http")}; ` +
      `remove them with decnet-agent teardown ${setup.id}`;
    assert.deepEqual([kind, calls], ["conflict", []]);
    assert.ok(message.endsWith(`, and ${left}`), message);

    // An operator removes them by hand.
    await sandbox.remove(name("web-http"));
    await sandbox.remove(name("web"));
    assert.match((await setup.refusal(other)).message, /and 1 network of it is left: /);
    await sandbox.docker.getNetwork(name("dmz")).remove();
    await setup.apply(other);
    await setup.assertApplied(other);
    assert.equal(setup.row()?.topologyId, other.id);
  }, engine);
}

// The engine still carries out the calls of an agent that was killed: their effects may come after
// the next agent has listed the engine.
const withMail: Sample = {
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

const meanwhile: [what: string, request: string, act: (setup: ApplySetup) => Promise<unknown>][] = [
  [
    "its container appears",
    "POST /containers/create?name=NAME-http",
    ({ sandbox, name, labels }) =>
      sandbox.makeContainer(name("web-http"), { labels, base: name("web"), isStarted: false }),
  ],
  [
    "its network appears",
    "POST /networks/create",
    ({ sandbox, name, labels }) =>
      sandbox.makeNetwork(name("dmz"), { subnet: sandbox.subnet(0), labels }),
  ],
  [
    "a base disappears",
    "POST /containers/create?name=NAME-http",
    ({ sandbox, name }) => sandbox.remove(name("web")),
  ],
];
for (const [what, request, act] of meanwhile) {
  testApply(`Applier.apply() goes on when ${what} meanwhile`, async (setup) => {
    before(setup, request.replace("NAME", setup.name("web")), () => act(setup));
    await setup.apply(withMail);
    assert.equal((await setup.drift(withMail)).state, "consistent");
  });
}

testApply("Applier.teardown() removes objects that appear meanwhile", async (setup) => {
  const { sandbox, name, labels } = setup;
  await setup.apply(withMail);
  before(setup, "DELETE /networks/", async () => {
    await sandbox.makeContainer(name("late"), { labels, isStarted: false });
    await sandbox.makeNetwork(name("later"), { subnet: sandbox.subnet(1), labels });
  });
  await setup.teardown();
  await setup.assertTornDown();
});

/** The flags of the executable for a host. */
function flagsOf({ folder, planOptions: { images } }: ApplySetup): string[] {
  return [
    `--docker-host=unix://${dockerSocket}`,
    `--state-dir=${folder.path}`,
    `--agent-dir=${folder.path}`,
    `--base-image=${images.base}`,
    `--service-image=${images.service}`,
    "--publish=off",
  ];
}

/** Writes a document of so many deckies; returns its file. */
function writeDocument(setup: ApplySetup, deckyCount: number): string {
  const deckies = Array.from({ length: deckyCount }, (_, index): [string, SampleDecky] => {
    const isGate = index % 10 === 0;
    const on = { inside: 2 + index, ...(isGate ? { dmz: 2 + index } : {}) };
    return [`decky-${index}`, { on, services: index % 3 === 0 ? ["ssh"] : [] }];
  });
  const sample = { lans: { dmz: 0, inside: 1 }, deckies: Object.fromEntries(deckies) };
  const file = `${setup.folder.path}/document.json`;
  Deno.writeTextFileSync(file, writeJson(setup.document(sample)));
  return file;
}

/** Sends a signal to an apply once it has reported a part of its steps, 0 to 1, as done. */
async function interrupt(
  setup: ApplySetup,
  file: string,
  { signal, part }: { signal: Deno.Signal; part: number },
) {
  const child = spawn(["apply", file, ...flagsOf(setup)]);
  let stderr = "";
  let sentAt = 0;
  for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
    stderr += text;
    const [, done, total] = [...stderr.matchAll(/^\[(\d+)\/(\d+)\]/gm)].at(-1) ?? [];
    if (sentAt > 0 || done === undefined || Number(done) < part * Number(total)) continue;
    sentAt = performance.now();
    child.kill(signal);
  }
  const { code, signal: endedBy } = await child.status;
  const elapsedMs = performance.now() - sentAt;
  await child.stdout.cancel();
  return { code, endedBy, stderr, elapsedMs };
}

/** Applies, and again, which changes nothing; then a check finds nothing wrong. */
async function assertApplies(setup: ApplySetup, file: string): Promise<void> {
  const apply = ["apply", file, "--json", ...flagsOf(setup)];
  const first = await execute(apply);
  // 1 is for objects of tests that run beside this one: they are unexpected here.
  assert.ok(first.code <= 1, first.stderr);
  assert.equal(JSON.parse(first.stdout).status, "applied");
  const second = await execute(apply);
  assert.equal(JSON.parse(second.stdout).changes, 0, second.stderr);

  const { code, stdout } = await execute(["--once", "--json", ...flagsOf(setup)]);
  const { topology, drift } = JSON.parse(stdout);
  assert.equal(topology.last_error, null);
  const differences: { name: string }[] = driftKinds.flatMap((kind) => drift[kind]);
  assert.deepEqual(differences.filter(({ name }) => name.includes(setup.sandbox.tag)), []);
  assert.equal(code, differences.length > 0 ? 1 : 0);
}

async function assertTearsDown(setup: ApplySetup): Promise<void> {
  const { code, stderr } = await execute(["teardown", setup.id, ...flagsOf(setup)]);
  assert.ok(code <= 1, stderr);
  await setup.assertTornDown();
}

/** Pseudo-random numbers from 0 to 1, the same in each run. */
function* numbers(seed: number): Generator<number> {
  for (let state = seed;;) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    yield state / 2 ** 32;
  }
}

testApply("C2 apply finishes an apply that was killed, teardown removes it", async (setup) => {
  const file = writeDocument(setup, 30);
  for (const number of numbers(7).take(3)) {
    const kill = { signal: "SIGKILL", part: number / 2 } as const;
    const { endedBy, stderr } = await interrupt(setup, file, kill);
    assert.equal(endedBy, "SIGKILL", stderr);
  }
  assert.ok((await setup.sandbox.containers()).length > 0);
  await assertApplies(setup, file);
  await assertTearsDown(setup);
});

testApply("C2 teardown removes the rest of an apply that was killed", async (setup) => {
  const kill = { signal: "SIGKILL", part: 0.5 } as const;
  const { endedBy, stderr } = await interrupt(setup, writeDocument(setup, 6), kill);
  assert.equal(endedBy, "SIGKILL", stderr);
  await assertTearsDown(setup);
});

testApply("C4 apply ends within 2 s of SIGTERM, reports it and can be finished", async (setup) => {
  const file = writeDocument(setup, 9);
  const stop = { signal: "SIGTERM", part: 0.3 } as const;
  const { code, stderr, elapsedMs } = await interrupt(setup, file, stop);
  assert.equal(code, 2, stderr);
  assert.ok(elapsedMs < 2_000, `${elapsedMs} ms`);
  assert.match(stderr, /^decnet-agent: interrupted/m);
  const row = setup.row();
  assert.deepEqual([row?.topologyId, row?.versionHash], [setup.id, ""]);
  assert.match(row?.lastError ?? "", /^interrupted/);
  await assertApplies(setup, file);
  assert.equal(setup.row()?.lastError, null);
  await assertTearsDown(setup);
});
