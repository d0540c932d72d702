import assert from "node:assert/strict";
import { TopologyStore } from "../../store/mod.ts";
import { driftKinds, writeJson } from "../../topology/mod.ts";
import { documentOf, type SampleDecky } from "./apply_sample.ts";
import { Playground } from "./playground.ts";
import { dockerSocket, needsDocker } from "./sockets.ts";
import { TemporaryFolder } from "../temporary_folder.ts";
import { type Ended, execute, spawn } from "../binary/host.ts";

const docker = await needsDocker();

/** A host with the real engine, and a document for it. */
class KillSetup implements AsyncDisposable {
  readonly id: string;
  readonly storePath: string;
  readonly #file: string;
  readonly #flags: string[];

  private constructor(
    readonly playground: Playground,
    readonly folder: TemporaryFolder,
    deckyCount: number,
  ) {
    this.id = `${playground.tag}-kill`;
    this.storePath = `${folder.path}/topology.db`;
    this.#file = `${folder.path}/document.json`;
    const image = `decnet-agent-test-${playground.tag}:1`;
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
    Deno.writeTextFileSync(this.#file, writeJson(documentOf(sample, playground)));
  }

  static async open(deckyCount: number): Promise<KillSetup> {
    return new KillSetup(await Playground.open(dockerSocket), new TemporaryFolder(), deckyCount);
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
    const own = differences.filter(({ name }) => name.includes(this.playground.tag));
    assert.deepEqual(own, []);
    assert.equal(code, differences.length > 0 ? 1 : 0);
  }

  /** Tears down, and looks that nothing is left. */
  async assertTornDown(): Promise<void> {
    const { code, stderr } = await execute(["teardown", this.id, ...this.#flags]);
    assert.ok(code <= 1, stderr);
    assert.deepEqual(await this.playground.containers(), []);
    assert.deepEqual(await this.playground.networks(), []);
    assert.equal(this.row(), null);
  }

  row() {
    using store = TopologyStore.open(this.storePath, { readOnly: true });
    return store.current();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.playground[Symbol.asyncDispose]();
    this.folder[Symbol.dispose]();
  }
}

function test(name: string, run: () => Promise<void>): void {
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

test("decnet-agent apply finishes what was killed in the middle, and teardown removes it", async () => {
  await using setup = await KillSetup.open(30);
  for (const number of numbers(7).take(3)) {
    const { signal, stderr } = await setup.interrupt("SIGKILL", number / 2);
    assert.equal(signal, "SIGKILL", stderr);
  }
  assert.ok((await setup.playground.containers()).length > 0);
  await setup.assertApplies();
  await setup.assertTornDown();
});

test("decnet-agent teardown removes what is left of an apply that was killed", async () => {
  await using setup = await KillSetup.open(6);
  const { signal, stderr } = await setup.interrupt("SIGKILL", 0.5);
  assert.equal(signal, "SIGKILL", stderr);
  await setup.assertTornDown();
});

test("decnet-agent apply ends within 2 s of SIGTERM, says so, and can be finished", async () => {
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
});
