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
import { consistent, heartbeatWith } from "../tests/support/heartbeat.ts";
import { maximumReportBytes } from "./heartbeat.ts";
import type { HostSnapshot, KnownDrift } from "./snapshot.ts";

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
    const { latencyMs, ...result } = made.result;
    assert.ok(latencyMs! > 0 && latencyMs! < 60_000);
    const url = `https://127.0.0.1:${setup.master.port}/swarm/heartbeat`;
    const delivered = { kind: "delivered", url, httpStatus: 204, retryAfterMs: null, error: null };
    assert.deepEqual(result, delivered);
    assert.equal(made.certificates?.problem, null);
    assert.ok(Math.abs(made.checkedAt - Date.now()) < 60_000);
    // The plan is that of the document which is applied now.
    const other = document.replace("10.0.0.2", "10.0.0.3");
    setup.changeStore((store) => store.put(topologyId, "h2", other));
    assert.equal((await heartbeat()).received?.topology?.drift.state, "drifted");
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

Deno.test("Agent.sendHeartbeat() cuts an error of Docker to 200 characters", async () => {
  const sockets = (setup: AgentSetup) =>
    [1, 2, 3].map((it) => `${setup.path}/${"é😀".repeat(60)}${it}`);
  await withHeartbeats(async (setup, heartbeat) => {
    setup.apply();
    const { observed, ...topology } = (await heartbeat()).received?.topology!;
    assert.deepEqual([topology.topology_id, topology.applied_at], [topologyId, 1_700_000_000]);
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

/** The body of a heartbeat that reports so many things, and its size in bytes. */
function bodyOf(
  { bridges = 0, containers = 0, missing = 0, unexpected = 0, detail = "" }: {
    readonly bridges?: number;
    readonly containers?: number;
    readonly missing?: number;
    readonly unexpected?: number;
    readonly detail?: string;
  },
) {
  const names = (count: number) =>
    Array.from({ length: count }, (_, index) => `decnet_t_11111111_${index}`.padEnd(60, "\u00e9"));
  const differences = (count: number) =>
    names(count).map((name) => ({ type: "container" as const, name, detail }));
  const drift: KnownDrift = {
    ...consistent,
    state: missing + unexpected > 0 ? "drifted" : "consistent",
    missing: differences(missing),
    unexpected: differences(unexpected),
  };
  const listed = { bridges: names(bridges), containers: names(containers), published: new Map() };
  const observed: HostSnapshot["observed"] = { kind: "listed", ...listed };
  const { body } = heartbeatWith({ snapshot: { observed, drift } });
  const { topology } = body;
  assert.equal(topology!.topology_id, "topology-1");
  assert.equal(topology!.applied_version_hash, "0123456789abcdef");
  return { topology, bytes: new TextEncoder().encode(JSON.stringify(body)).length };
}

Deno.test("heartbeatBody() has at most 1 MiB, and cuts the drift first", () => {
  const { topology, bytes } = bodyOf({ bridges: 10, containers: 100, missing: 5, unexpected: 2e4 });
  assert.ok(bytes <= 2 ** 20 && bytes > 2 ** 20 - 200, String(bytes));
  const { observed, drift } = topology!;
  assert.ok("containers" in observed && drift.state === "drifted");
  assert.deepEqual([observed.bridges.length, observed.containers.length], [10, 100]);
  assert.equal(observed.omitted, undefined);
  assert.equal(drift.missing.length, 5);
  assert.ok(drift.unexpected.length > 5_000);
  assert.deepEqual(drift.omitted, { unexpected: 20_000 - drift.unexpected.length });
});

Deno.test("heartbeatBody() cuts what runs when that alone has over 1 MiB", () => {
  const { topology, bytes } = bodyOf({ bridges: 3, containers: 3e4, missing: 5, unexpected: 7 });
  assert.ok(bytes <= 2 ** 20 && bytes > 2 ** 20 - 200, String(bytes));
  const { observed, drift } = topology!;
  assert.ok("containers" in observed && drift.state === "drifted");
  assert.equal(observed.bridges.length, 3);
  assert.deepEqual(observed.omitted, { containers: 30_000 - observed.containers.length });
  assert.deepEqual([drift.missing, drift.unexpected], [[], []]);
  assert.deepEqual(drift.omitted, { missing: 5, unexpected: 7 });
});

Deno.test("heartbeatBody() omits what has over 1 MiB by itself", () => {
  const detail = "x".repeat(maximumReportBytes);
  const { topology, bytes } = bodyOf({ containers: 2, missing: 1, unexpected: 1, detail });
  assert.ok(bytes < 1_000, String(bytes));
  assert.deepEqual(topology!.drift.state === "drifted" && topology!.drift.omitted, {
    missing: 1,
    unexpected: 1,
  });
});

Deno.test("heartbeatBody() cuts nothing up to 1 MiB", () => {
  const { topology, bytes } = bodyOf({ containers: 9_000, unexpected: 100 });
  assert.ok(bytes > 900_000 && bytes < 2 ** 20, String(bytes));
  assert.doesNotMatch(JSON.stringify(topology), /omitted/);
});
