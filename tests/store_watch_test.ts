import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { StoreWatch } from "../agent/store_watch.ts";
import { createLog } from "../host/mod.ts";
import { lockPathOf, TopologyStore } from "../store/mod.ts";
import { AgentSetup, document, topologyId, versionHash } from "./agent_setup.ts";
import { asWriter } from "./store_writer.ts";
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

  async change(message: string): Promise<void> {
    await asWriter(this.path, (store) => store.recordError(topologyId, message));
  }

  [Symbol.dispose](): void {
    this.watch.close();
    this.folder[Symbol.dispose]();
  }
}

/** Lets what the kernel tells arrive. */
async function settle(ms = 300): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

Deno.test("StoreWatch tells of each writing, by whomever, and of no reading", async () => {
  using it = new Watched();
  await it.change("first");
  it.watch.renew();
  assert.equal(it.told, 1, "what came before is unknown");
  for (const message of ["second", "third"]) {
    const before = it.told;
    await it.change(message);
    await until(() => it.told > before);
    await settle();
  }
  const before = it.told;
  it.watch.renew();
  using store = TopologyStore.open(it.path, { readOnly: true });
  assert.equal(store.current()!.lastError, "third");
  Deno.writeTextFileSync(lockPathOf(it.path), "somebody");
  await settle();
  assert.equal(it.told, before);
});

Deno.test("StoreWatch waits for a folder that is not there, and follows one that was replaced", async () => {
  using it = new Watched();
  it.watch.renew();
  assert.equal(it.told, 0);
  await it.change("first");
  it.watch.renew();
  assert.equal(it.told, 1);
  Deno.renameSync(`${it.folder.path}/state`, `${it.folder.path}/away`);
  await it.change("in another one");
  const before = it.told;
  it.watch.renew();
  await settle();
  it.watch.renew();
  assert.equal(it.told, before + 1);
  await it.change("again");
  await until(() => it.told > before + 1);
});

Deno.test("StoreWatch sees the first who writes to a store that nobody has written to yet", async () => {
  using it = new Watched();
  Deno.mkdirSync(it.path.replace(/[^/]*$/, ""));
  it.watch.renew();
  assert.equal(it.told, 1);
  await it.change("first");
  await until(() => it.told > 1);
});

Deno.test("StoreWatch leaves SQLite its locks: nobody gets between a change and its commit", async () => {
  using it = new Watched();
  await it.change("first");
  it.watch.renew();
  const database = new DatabaseSync(it.path);
  database.exec("BEGIN IMMEDIATE; UPDATE applied_topology SET last_error = 'half-written'");
  // Whoever opens and closes it in this process takes the lock away; here the kernel is the one to say.
  Deno.utimeSync(it.path, 1, 1);
  Deno.writeTextFileSync(`${it.path}.corrupt-20261122T190501Z`, "");
  Deno.writeTextFileSync(lockPathOf(it.path), "somebody");
  await settle();
  const script = `
    import { DatabaseSync } from "node:sqlite";
    new DatabaseSync(Deno.args[0]).exec("BEGIN IMMEDIATE");
  `;
  const other = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--quiet", script, it.path],
    stdout: "null",
    stderr: "piped",
  });
  const { success, stderr } = await other.output();
  assert.equal(success, false);
  assert.match(new TextDecoder().decode(stderr), /database is locked/);
  database.exec("COMMIT");
  database.close();
});

Deno.test("StoreWatch tells nothing after it was closed", async () => {
  using it = new Watched();
  await it.change("first");
  it.watch.renew();
  it.watch.close();
  const before = it.told;
  it.watch.renew();
  await it.change("second");
  await settle();
  assert.equal(it.told, before);
});

Deno.test("the loop tells at once what another process wrote to the store", async () => {
  await using setup = await AgentSetup.create();
  setup.changeStore((store) => store.put(topologyId, versionHash, document));
  await using loop = new WatchedLoop(setup);
  await until(() => loop.beats.length > 0);
  // What the loop looks for by itself, after the hints of its start, is over by then.
  await settle(7_000);
  await asWriter(setup.storePath, (store) => store.recordError(topologyId, "an image is missing"));
  await until(() => loop.beats.at(-1)!.body.topology?.last_error === "an image is missing");
});
