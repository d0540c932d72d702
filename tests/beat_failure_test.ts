import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { type AgentSetup, topologyId, versionHash, withBeats } from "./agent_setup.ts";

const frame = {
  host_uuid: "host-1",
  agent_version: "1.2.3",
  status: { deployed: false, deckies: [] },
};

Deno.test("Agent.beat() goes out with an error in place of the lists while Docker is down", async () => {
  await withBeats(async (setup, beat) => {
    setup.apply();
    await setup.engine.stop();
    const { beat: made, received } = await beat();
    const { observed } = made.stock;
    assert.ok("error" in observed);
    assert.match(observed.error, /^Cannot observe Docker at .*docker\.sock: no such socket/);
    assert.deepEqual(received?.topology, {
      topology_id: topologyId,
      applied_version_hash: versionHash,
      applied_at: 1_700_000_000,
      last_error: null,
      observed,
      drift: { state: "unknown", detail: "Docker did not answer" },
    });
  });
});

Deno.test("Agent.beat() cuts an error of Docker to 200 characters", async () => {
  const sockets = (setup: AgentSetup) =>
    [1, 2, 3].map((it) => `${setup.path}/${"é😀".repeat(60)}${it}`);
  await withBeats(async (_setup, beat) => {
    const { observed } = (await beat()).received?.topology!;
    assert.ok("error" in observed && observed.error.length <= 200);
    assert.match(observed.error, /^Cannot find Docker: none of /);
    assert.ok(observed.error.length >= 199 && observed.error.isWellFormed());
  }, (setup) => ({ sockets: sockets(setup) }));
});

Deno.test("Agent.beat() goes out without a topology while the store cannot be read", async () => {
  await withBeats(async (setup, beat) => {
    setup.apply();
    await Deno.writeTextFile(setup.storePath, "no database ".repeat(1_000));
    const { beat: made, received } = await beat();
    const detail = `Cannot read the store ${setup.storePath}: file is not a database`;
    assert.deepEqual(received, {
      ...frame,
      store: { state: "unreadable", detail },
      topology: null,
    });
    assert.equal(made.stock.drift.state, "unknown");
    await Deno.remove(setup.storePath);
    await Deno.mkdir(setup.storePath);
    assert.equal((await beat()).received?.topology, null);
    await Deno.remove(setup.storePath);
    setup.apply();
    assert.equal((await beat()).received?.topology?.topology_id, topologyId);
  });
});

Deno.test("Agent.beat() goes out when neither store nor Docker can be read", async () => {
  await withBeats(async (setup, beat) => {
    await Deno.writeTextFile(setup.storePath, "no database ".repeat(1_000));
    await setup.engine.stop();
    const { beat: made, received } = await beat();
    assert.equal(received?.topology, null);
    assert.equal(made.delivery.result, "delivered");
    assert.ok("error" in made.stock.observed);
  });
});

Deno.test("Agent.beat() says that the store holds several rows", async () => {
  await withBeats(async (setup, beat) => {
    const database = new DatabaseSync(setup.storePath);
    database.exec(`CREATE TABLE applied_topology (topology_id TEXT PRIMARY KEY,
        applied_version_hash TEXT, hydrated_blob_json TEXT, applied_at INTEGER, last_error TEXT);
      INSERT INTO applied_topology VALUES ('old', 'h1', '{}', 1, NULL), ('new', 'h2', '{}', 2, NULL)`);
    database.close();
    const { store, topology } = (await beat()).beat.body;
    assert.equal(topology?.topology_id, "new");
    assert.deepEqual(store, {
      state: "ok",
      detail: "the store holds more than one row; the newest counts",
    });
  });
});
