import assert from "node:assert/strict";
import { TopologyStore } from "../../store/topology_store.ts";
import { driftKinds } from "../../topology/drift.ts";
import { writeJson } from "../../topology/json.ts";
import { TemporaryFolder } from "../support/environment.ts";
import { type Ended, execute, spawn } from "../support/executable.ts";
import {
  type ApplySetup,
  changed,
  documentOf,
  type Sample,
  type SampleDecky,
  testerOf,
} from "./apply_setup.ts";
import { DockerSandbox } from "./playground.ts";
import { dockerSocket, needsDocker } from "./sockets.ts";

const test = testerOf(await needsDocker());
const web = { on: { dmz: 2 }, services: ["http"] };
const sample: Sample = { lans: { dmz: 0 }, deckies: { web } };

test("Applier.apply() names every missing image and changes nothing", async (setup) => {
  const { sandbox: { tag }, images } = setup;
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
  const { sandbox } = setup;
  await sandbox.makeNetwork(`foreign-${sandbox.tag}`, { subnet: sandbox.subnet(7) });
  const before = await setup.ids();
  const { message, calls } = await setup.refusal({
    lans: { dmz: 0, inside: 7 },
    deckies: {
      gate: { on: { dmz: 2, inside: 2 } },
    },
  });
  assert.equal(
    message,
    `subnet ${sandbox.subnet(7)} of ${setup.name("inside")} is taken by network ` +
      `foreign-${sandbox.tag} (${sandbox.subnet(7)})`,
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
    const { sandbox, name } = setup;
    const subnet = sandbox.subnet(wish.subnet);
    await sandbox.makeNetwork(name("dmz"), { subnet, labels: wish.labels });
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
    const { sandbox, name } = setup;
    await sandbox.makeContainer(name("web"), { labels });
    await sandbox.makeContainer(name("web-http"), { labels, isStarted: false });
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
  const { sandbox, name } = setup;
  const guest = `guest-${sandbox.tag}`;
  await setup.apply(sample);
  const addresses = new Map([[name("dmz"), sandbox.address(0, 99)]]);
  await sandbox.makeContainer(guest, { addresses });
  const before = await setup.ids();
  const obstacle = `container ${guest}, which is not of this topology, uses network ${name("dmz")}`;

  const elsewhere = await setup.refusal({ ...sample, lans: { dmz: 1 } });
  assert.deepEqual([elsewhere.message, elsewhere.calls], [obstacle, []]);
  const teardown = await setup.teardownRefusal();
  assert.deepEqual([teardown.message, teardown.calls], [obstacle, []]);
  assert.equal(setup.row()?.lastError, obstacle);
  assert.deepEqual(changed(before, await setup.ids()), []);
  // It is in nobody's way otherwise.
  await sandbox.remove(name("web"));
  await setup.apply(sample);

  await sandbox.kill(guest);
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
  const other = another(setup.sandbox.tag);
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
  const other = another(setup.sandbox.tag);
  await setup.apply(other, { supersede: true });
  assert.deepEqual((await setup.sandbox.networks()).map(({ Labels }) => Labels), [
    { ...(await setup.sandbox.networks())[0]!.Labels, "decnet.topology.id": other.id! },
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
  const { message, calls } = await setup.refusal(another(setup.sandbox.tag), {
    supersede: true,
    images,
  });
  assert.equal(message, "images that are not on this host: no/such:1");
  assert.deepEqual(calls, []);
  assert.deepEqual(changed(before, await setup.ids()), []);
  assert.equal(setup.row()?.topologyId, setup.id);
});

test("Applier.apply() finishes what an apply has left behind that failed halfway", async (setup) => {
  const { sandbox, name } = setup;
  const image = `decnet-agent-test-${sandbox.tag}-broken:1`;
  await sandbox.importImage(image, { command: "/missing" });
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

// An agent that is killed leaves calls behind that the engine still carries out: what they make or
// remove comes after the next one has looked.
const testApplyRace = testerOf(await needsDocker());
const sampleApplyRace: Sample = {
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

testApplyRace(
  "Applier.apply() goes on when a container of its own turns up meanwhile",
  async (setup) => {
    const { sandbox, name, id } = setup;
    const create = `POST /containers/create?name=${name("web-http")}`;
    before(setup, create, () =>
      sandbox.makeContainer(name("web-http"), {
        labels: { "decnet.topology.id": id },
        base: name("web"),
        isStarted: false,
      }));
    await setup.apply(sampleApplyRace);
    assert.equal((await setup.drift(sampleApplyRace)).state, "consistent");
  },
);

testApplyRace(
  "Applier.apply() goes on when a network of its own turns up meanwhile",
  async (setup) => {
    const { sandbox, name, id } = setup;
    before(setup, "POST /networks/create", () =>
      sandbox.makeNetwork(name("dmz"), {
        subnet: sandbox.subnet(0),
        labels: { "decnet.topology.id": id },
      }));
    await setup.apply(sampleApplyRace);
    assert.equal((await setup.drift(sampleApplyRace)).state, "consistent");
  },
);

testApplyRace("Applier.apply() goes on when a base goes meanwhile", async (setup) => {
  const { sandbox, name } = setup;
  const create = `POST /containers/create?name=${name("web-http")}`;
  before(setup, create, () => sandbox.remove(name("web")));
  await setup.apply(sampleApplyRace);
  assert.equal((await setup.drift(sampleApplyRace)).state, "consistent");
});

testApplyRace("Applier.teardown() removes what turns up meanwhile", async (setup) => {
  const { sandbox, name, id } = setup;
  await setup.apply(sampleApplyRace);
  before(setup, "DELETE /networks/", async () => {
    const labels = { "decnet.topology.id": id };
    await sandbox.makeContainer(name("late"), { labels, isStarted: false });
    await sandbox.makeNetwork(name("later"), { subnet: sandbox.subnet(1), labels });
  });
  await setup.teardown();
  assert.deepEqual([...(await setup.ids()).keys()], []);
  assert.equal(setup.row(), null);
});

const docker = await needsDocker();

/** A host with the real engine, and a document for it. */
class KillSetup implements AsyncDisposable {
  readonly id: string;
  readonly storePath: string;
  readonly #file: string;
  readonly #flags: string[];

  private constructor(
    readonly sandbox: DockerSandbox,
    readonly folder: TemporaryFolder,
    deckyCount: number,
  ) {
    this.id = `${sandbox.tag}-kill`;
    this.storePath = `${folder.path}/topology.db`;
    this.#file = `${folder.path}/document.json`;
    const image = `decnet-agent-test-${sandbox.tag}:1`;
    this.#flags = [
      `--docker-host=unix://${dockerSocket}`,
      `--state-dir=${folder.path}`,
      `--agent-dir=${folder.path}`,
      `--base-image=${image}`,
      `--service-image=${image}`,
    ];
    const deckies = Array.from({ length: deckyCount }, (_, index): [string, SampleDecky] => {
      const isGate = index % 10 === 0;
      const on = { inside: 2 + index, ...(isGate ? { dmz: 2 + index } : {}) };
      return [`decky-${index}`, { on, services: index % 3 === 0 ? ["ssh"] : [] }];
    });
    const sample = {
      id: this.id,
      lans: { dmz: 0, inside: 1 },
      deckies: Object.fromEntries(deckies),
    };
    Deno.writeTextFileSync(this.#file, writeJson(documentOf(sample, sandbox)));
  }

  static async open(deckyCount: number): Promise<KillSetup> {
    return new KillSetup(await DockerSandbox.open(dockerSocket), new TemporaryFolder(), deckyCount);
  }

  /** Sends a signal to an apply once it has said that a part of its steps, 0 to 1, is done. */
  async interrupt(signal: Deno.Signal, part: number): Promise<Ended & { signal: string | null }> {
    const child = spawn(["apply", this.#file, ...this.#flags]);
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
    return { code, signal: endedBy, stdout: "", stderr, elapsedMs };
  }

  /** Applies, and again, which changes nothing; then a check finds nothing wrong. */
  async assertApplies(): Promise<void> {
    const apply = ["apply", this.#file, "--json", ...this.#flags];
    const first = await execute(apply);
    // 1 is for what tests that run beside this one have labelled: it is unexpected here.
    assert.ok(first.code <= 1, first.stderr);
    assert.equal(JSON.parse(first.stdout).status, "applied");
    const second = await execute(apply);
    assert.equal(JSON.parse(second.stdout).changes, 0, second.stderr);

    const { code, stdout } = await execute(["--once", "--json", ...this.#flags]);
    const { topology, drift } = JSON.parse(stdout);
    assert.equal(topology.last_error, null);
    const differences: { name: string }[] = driftKinds.flatMap((kind) => drift[kind]);
    const own = differences.filter(({ name }) => name.includes(this.sandbox.tag));
    assert.deepEqual(own, []);
    assert.equal(code, differences.length > 0 ? 1 : 0);
  }

  /** Tears down, and looks that nothing is left. */
  async assertTornDown(): Promise<void> {
    const { code, stderr } = await execute(["teardown", this.id, ...this.#flags]);
    assert.ok(code <= 1, stderr);
    assert.deepEqual(await this.sandbox.containers(), []);
    assert.deepEqual(await this.sandbox.networks(), []);
    assert.equal(this.row(), null);
  }

  row() {
    using store = TopologyStore.open(this.storePath, { readOnly: true });
    return store.current();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sandbox[Symbol.asyncDispose]();
    this.folder[Symbol.dispose]();
  }
}

function testApplyKill(name: string, run: () => Promise<void>): void {
  Deno.test({
    name: name + docker.suffix,
    ignore: docker.ignore,
    async fn() {
      docker.check();
      await run();
    },
  });
}

/** Numbers from 0 to 1 that look like chance and are the same in each run. */
function* numbers(seed: number): Generator<number> {
  for (let state = seed;;) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    yield state / 2 ** 32;
  }
}

testApplyKill(
  "C3 apply finishes an apply that was killed, teardown removes it",
  async () => {
    await using setup = await KillSetup.open(30);
    for (const number of numbers(7).take(3)) {
      const { signal, stderr } = await setup.interrupt("SIGKILL", number / 2);
      assert.equal(signal, "SIGKILL", stderr);
    }
    assert.ok((await setup.sandbox.containers()).length > 0);
    await setup.assertApplies();
    await setup.assertTornDown();
  },
);

testApplyKill(
  "C3 teardown removes the rest of an apply that was killed",
  async () => {
    await using setup = await KillSetup.open(6);
    const { signal, stderr } = await setup.interrupt("SIGKILL", 0.5);
    assert.equal(signal, "SIGKILL", stderr);
    await setup.assertTornDown();
  },
);

testApplyKill(
  "C4 apply ends within 2 s of SIGTERM, reports it and can be finished",
  async () => {
    await using setup = await KillSetup.open(9);
    const { code, stderr, elapsedMs } = await setup.interrupt("SIGTERM", 0.3);
    assert.equal(code, 2, stderr);
    assert.ok(elapsedMs < 2_000, `${elapsedMs} ms`);
    assert.match(stderr, /^decnet-agent: interrupted/m);
    const row = setup.row();
    assert.deepEqual([row?.topologyId, row?.versionHash], [setup.id, ""]);
    assert.match(row?.lastError ?? "", /^interrupted/);
    await setup.assertApplies();
    assert.equal(setup.row()?.lastError, null);
    await setup.assertTornDown();
  },
);
