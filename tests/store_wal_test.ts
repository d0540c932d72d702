import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { StoreKeeper } from "../agent/store_keeper.ts";
import { StoreMemory, StoreReader, TopologyStore } from "../store/mod.ts";
import { oneLan, withHost } from "./apply_host.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

const never = new AbortController().signal;

/** Leaves a store with one row in WAL mode, as another program may have set it. */
function makeWalStore(path: string): void {
  {
    using store = TopologyStore.open(path);
    store.put(oneLan.plan.topologyId, "h1", oneLan.text);
  }
  const database = new DatabaseSync(path);
  assert.equal(database.prepare("PRAGMA journal_mode = WAL").get()?.journal_mode, "wal");
  database.exec("UPDATE applied_topology SET applied_version_hash = 'h2'");
  database.close();
}

Deno.test("StoreReader.current() keeps no writer from a file in WAL mode between two readings", async () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/topology.db`;
  makeWalStore(path);
  const reader = new StoreReader(path);
  try {
    for (let reading = 0; reading < 2; reading++) {
      assert.equal((await reader.current(never))?.versionHash, "h2");
    }
    {
      using store = TopologyStore.open(path, { busyTimeoutMs: 0 });
      store.put(oneLan.plan.topologyId, "h3", "{}");
    }
    assert.equal((await reader.current(never))?.versionHash, "h3");
  } finally {
    reader.close();
  }
});

Deno.test("Applier.apply() writes to a store in WAL mode that the loop reads", () =>
  withHost(async (host) => {
    makeWalStore(host.storePath);
    const memory = new StoreMemory();
    const keeper = new StoreKeeper(host.storePath, memory);
    try {
      const stock = await keeper.read(never);
      assert.equal(stock.state === "ok" && stock.applied.versionHash, "h2");
      await host.applier({ memory }).apply(oneLan, { signal: never });
      await host.assertApplied(oneLan);
      const { state, detail } = await keeper.read(never);
      assert.deepEqual([state, detail], ["ok", undefined]);
    } finally {
      keeper.close();
    }
  }));
