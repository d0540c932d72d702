import assert from "node:assert/strict";
import { StoreWatch } from "../agent/store_watch.ts";
import { createLog } from "../host/mod.ts";
import { TopologyStore } from "../store/mod.ts";
import { AgentSetup, document, topologyId, versionHash } from "./agent_setup.ts";
import { TemporaryFolder } from "./temporary_folder.ts";
import { until, WatchedLoop } from "./watched_loop.ts";

/** A watched store in a folder of its own, and how often a change of it was told. */
class Watched implements Disposable {
  readonly folder = new TemporaryFolder();
  readonly path = `${this.folder.path}/state/topology.db`;
  readonly lines: string[] = [];
  readonly watch = new StoreWatch(this.path, {
    log: createLog((line) => this.lines.push(line)),
    onChange: () => this.told++,
  });
  told = 0;

  change(message: string): void {
    using store = TopologyStore.open(this.path);
    store.recordError(topologyId, message);
  }

  [Symbol.dispose](): void {
    this.watch.close();
    this.folder[Symbol.dispose]();
  }
}

/** Lets what the kernel tells arrive. */
async function settle(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 300));
}

Deno.test("StoreWatch tells of each writing, by whomever, and of no reading", async () => {
  using it = new Watched();
  it.change("first");
  it.watch.renew();
  assert.equal(it.told, 1, "what came before is unknown");
  for (const message of ["second", "third"]) {
    const before = it.told;
    it.change(message);
    await until(() => it.told > before);
    await settle();
  }
  const before = it.told;
  it.watch.renew();
  using store = TopologyStore.open(it.path, { readOnly: true });
  assert.equal(store.current()!.lastError, "third");
  Deno.openSync(it.path, { write: true }).close();
  Deno.writeTextFileSync(it.path.replace("topology.db", "apply.lock"), "somebody");
  await settle();
  assert.equal(it.told, before);
});

Deno.test("StoreWatch waits for a folder that is not there, and follows one that was replaced", async () => {
  using it = new Watched();
  it.watch.renew();
  assert.equal(it.told, 0);
  it.change("first");
  it.watch.renew();
  assert.equal(it.told, 1);
  Deno.renameSync(`${it.folder.path}/state`, `${it.folder.path}/away`);
  await until(() => it.told > 1);
  it.change("in another one");
  const before = it.told;
  it.watch.renew();
  assert.equal(it.told, before + 1);
  it.change("again");
  await until(() => it.told > before + 1);
});

Deno.test("StoreWatch tells nothing after it was closed", async () => {
  using it = new Watched();
  it.change("first");
  it.watch.renew();
  it.watch.close();
  const before = it.told;
  it.watch.renew();
  it.change("second");
  await settle();
  assert.equal(it.told, before);
});

Deno.test("the loop tells at once what another process wrote to the store", async () => {
  await using setup = await AgentSetup.create();
  setup.changeStore((store) => store.put(topologyId, versionHash, document));
  await using loop = new WatchedLoop(setup);
  await until(() => loop.beats.length > 0);
  setup.changeStore((store) => store.recordError(topologyId, "an image is missing"));
  await until(() => loop.beats.at(-1)!.body.topology?.last_error === "an image is missing");
  setup.changeStore((store) => store.clear(topologyId));
  await until(() => loop.beats.at(-1)!.body.topology?.topology_id === null);
});
