import assert from "node:assert/strict";
import { openLastingStore, StoreMemory } from "../store/mod.ts";
import { AgentSetup, document, topologyId, versionHash } from "./agent_setup.ts";
import { runSql } from "./sample_store.ts";

const never = new AbortController().signal;
/** Only an update fails by it; what was kept is put in the place of the row. */
const fill = "CREATE TRIGGER full BEFORE UPDATE ON applied_topology " +
  "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END";

Deno.test("Agent.hasNews() writes nothing: what was kept in memory is written with the next beat", async () => {
  await using setup = await AgentSetup.create();
  setup.changeStore((store) => store.put(topologyId, "h1", "{}"));
  runSql(setup.storePath, fill);
  const memory = new StoreMemory();
  const agent = setup.newAgent({ memory, master: null });
  try {
    await agent.beat(never);
    const store = openLastingStore(setup.storePath, memory);
    store.put(topologyId, versionHash, document);
    store.close();
    const { mtime } = Deno.statSync(setup.storePath);
    assert.equal(await agent.hasNews(never), true);
    assert.ok(memory.problem);
    assert.deepEqual(Deno.statSync(setup.storePath).mtime, mtime);
    const { body } = await agent.beat(never);
    assert.deepEqual(
      [body.topology?.applied_version_hash, memory.problem],
      [versionHash, null],
    );
  } finally {
    agent.close();
    memory.forget();
  }
});
