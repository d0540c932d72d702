import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import {
  type AgentSetup,
  document,
  topologyId,
  versionHash,
  withHeartbeats,
} from "../tests/support/agent_setup.ts";
import { container } from "../tests/support/engine/state.ts";
import { consistent } from "../tests/support/heartbeat.ts";

const lan = "decnet_t_11111111_lan-00";
const decky = "decnet_t_11111111_decky-001";
const frame = {
  host_uuid: "host-1",
  agent_version: "1.2.3",
  status: { deployed: false, deckies: [] },
};

function idle(more: Record<string, unknown> = {}) {
  return {
    topology_id: null,
    applied_version_hash: null,
    applied_at: null,
    last_error: null,
    observed: { bridges: [], containers: [] },
    drift: consistent,
    ...more,
  };
}

Deno.test("Agent.sendHeartbeat() reports what is applied and what runs", () =>
  withHeartbeats(async (setup, heartbeat) => {
    setup.apply();
    const { heartbeat: made, received } = await heartbeat();
    assert.deepEqual(received, {
      ...frame,
      store: { state: "ok" },
      topology: {
        topology_id: topologyId,
        applied_version_hash: versionHash,
        applied_at: 1_700_000_000,
        last_error: null,
        observed: { bridges: [lan], containers: [decky, `${decky}-ssh`] },
        drift: consistent,
      },
    });
    assert.deepEqual(made.body, received);
    assert.equal(made.result.kind, "delivered");
  }));

Deno.test("Agent.sendHeartbeat() sends nulls for an idle host", () =>
  withHeartbeats(async (setup, heartbeat) => {
    const expected = { ...frame, store: { state: "idle" }, topology: idle() };
    assert.deepEqual((await heartbeat()).received, expected);
    setup.changeStore((store) => store.put("A", "h", "{}"));
    setup.changeStore((store) => store.clear("A"));
    assert.deepEqual((await heartbeat()).received, expected);
  }));

Deno.test("Agent.sendHeartbeat() reports a recorded error", () =>
  withHeartbeats(async (setup, heartbeat) => {
    setup.changeStore((store) => store.recordError("A", "boom"));
    const unknown = { state: "unknown", detail: "the store holds no document" };
    const marker = {
      topology_id: "A",
      applied_version_hash: "",
      applied_at: 0,
      last_error: "boom",
    };
    assert.deepEqual((await heartbeat()).received, {
      ...frame,
      store: { state: "ok" },
      topology: idle({ ...marker, drift: unknown }),
    });
    setup.changeStore((store) => store.clear("A"));
    setup.apply();
    setup.changeStore((store) => store.recordError(topologyId, "bang"));
    const { heartbeat: made } = await heartbeat();
    assert.equal(made.body.topology?.last_error, "bang");
    assert.equal(made.body.topology?.applied_version_hash, versionHash);
    assert.equal(made.body.topology?.drift.state, "consistent");
  }));

Deno.test("Agent.sendHeartbeat() reports drift as it comes and goes", () =>
  withHeartbeats(async (setup, heartbeat) => {
    setup.apply();
    const driftOf = async () => (await heartbeat()).heartbeat.body.topology?.drift;
    assert.deepEqual(await driftOf(), consistent);
    const containers = setup.engine.containers;
    setup.engine.containers = [
      ...containers.slice(0, 2),
      container({ name: "decnet-x", state: "exited" }),
    ];
    assert.deepEqual(await driftOf(), {
      ...consistent,
      state: "drifted",
      missing: [{ type: "container", name: decky, detail: "" }],
      unexpected: [{ type: "container", name: "decnet-x", detail: "exited" }],
    });
    setup.engine.containers = containers;
    assert.deepEqual(await driftOf(), consistent);
    setup.changeStore((store) =>
      store.put(topologyId, "h2", document.replace("10.0.0.2", "10.0.0.3"))
    );
    assert.equal((await driftOf())?.state, "drifted");
  }));

Deno.test("Agent.sendHeartbeat() reports unknown drift for a bad document", () =>
  withHeartbeats(async (setup, heartbeat) => {
    setup.changeStore((store) => store.put("A", "h", '{"lans":[]}'));
    const { received } = await heartbeat();
    assert.deepEqual(received?.topology?.drift, {
      state: "unknown",
      detail: "Cannot read the topology: topology: expected object, got nothing; " +
        "deckies: expected array, got nothing",
    });
  }));

Deno.test("Agent.sendHeartbeat() lists what has the configured prefixes", () =>
  withHeartbeats(async (setup, heartbeat) => {
    setup.apply();
    setup.engine.containers = [
      container({ name: "lab-1" }),
      container({ name: "decnet-1" }),
      container({ name: "x", labels: { "decnet.topology.id": "other" } }),
    ];
    const { observed } = (await heartbeat()).heartbeat.body.topology!;
    assert.deepEqual(observed, { bridges: [lan], containers: ["lab-1", "x"] });
  }, () => ({ networkPrefixes: ["lab-"], containerPrefixes: ["lab-"] })));

Deno.test("Agent.sendHeartbeat() changes nothing in Docker or the store", () =>
  withHeartbeats(async (setup, heartbeat) => {
    setup.apply();
    Deno.utimeSync(setup.storePath, 1_000, 1_000);
    const bytes = Deno.readFileSync(setup.storePath);
    await heartbeat();
    await heartbeat();
    assert.deepEqual(
      new Set(setup.engine.requests.map(({ method, path }) => `${method} ${path.split("?")[0]}`)),
      new Set(["GET /networks", "GET /containers/json"]),
    );
    assert.equal(setup.engine.requestCount, 6);
    assert.deepEqual(Deno.readFileSync(setup.storePath), bytes);
    assert.equal(Deno.statSync(setup.storePath).mtime?.getTime(), 1_000_000);
  }));

Deno.test("Agent.sendHeartbeat() sends an error while Docker is down", () =>
  withHeartbeats(async (setup, heartbeat) => {
    setup.apply();
    await setup.engine.stop();
    const { heartbeat: made, received } = await heartbeat();
    const { observed } = made.snapshot;
    assert.ok(observed.kind === "failed");
    assert.match(observed.error, /^Cannot observe Docker at .*docker\.sock: no such file/);
    assert.deepEqual(received?.topology, {
      topology_id: topologyId,
      applied_version_hash: versionHash,
      applied_at: 1_700_000_000,
      last_error: null,
      observed: { error: observed.error },
      drift: { state: "unknown", detail: "Docker did not answer" },
    });
  }));

Deno.test("Agent.sendHeartbeat() cuts an error of Docker to 200 characters", async () => {
  const sockets = (setup: AgentSetup) =>
    [1, 2, 3].map((it) => `${setup.path}/${"é😀".repeat(60)}${it}`);
  await withHeartbeats(async (_setup, heartbeat) => {
    const { observed } = (await heartbeat()).received?.topology!;
    assert.ok("error" in observed && observed.error.length <= 200);
    assert.match(observed.error, /^Cannot find Docker: none of /);
    assert.ok(observed.error.length >= 199 && observed.error.isWellFormed());
  }, (setup) => ({ sockets: sockets(setup) }));
});

Deno.test("Agent.sendHeartbeat() sends no topology for an unreadable store", () =>
  withHeartbeats(async (setup, heartbeat) => {
    setup.apply();
    await Deno.writeTextFile(setup.storePath, "no database ".repeat(1_000));
    const { heartbeat: made, received } = await heartbeat();
    const detail = `Cannot read the store ${setup.storePath}: file is not a database`;
    assert.deepEqual(received, {
      ...frame,
      store: { state: "unreadable", detail },
      topology: null,
    });
    assert.equal(made.snapshot.drift.state, "unknown");
    await Deno.remove(setup.storePath);
    await Deno.mkdir(setup.storePath);
    assert.equal((await heartbeat()).received?.topology, null);
    await Deno.remove(setup.storePath);
    setup.apply();
    assert.equal((await heartbeat()).received?.topology?.topology_id, topologyId);
    await Deno.writeTextFile(setup.storePath, "no database ".repeat(1_000));
    await setup.engine.stop();
    const { heartbeat: last, received: lastReceived } = await heartbeat();
    assert.equal(lastReceived?.topology, null);
    assert.ok(last.snapshot.observed.kind === "failed");
  }));

Deno.test("Agent.sendHeartbeat() reports a store with several rows", () =>
  withHeartbeats(async (setup, heartbeat) => {
    const database = new DatabaseSync(setup.storePath);
    database.exec(`CREATE TABLE applied_topology (topology_id TEXT PRIMARY KEY,
        applied_version_hash TEXT, hydrated_blob_json TEXT, applied_at INTEGER, last_error TEXT);
      INSERT INTO applied_topology VALUES ('old', 'h1', '{}', 1, NULL), ('new', 'h2', '{}', 2, NULL)`);
    database.close();
    const { store, topology } = (await heartbeat()).heartbeat.body;
    assert.equal(topology?.topology_id, "new");
    assert.deepEqual(store, {
      state: "ok",
      detail: "the store holds more than one row; the newest counts",
    });
  }));
