import assert from "node:assert/strict";
import { findingsOf } from "../cli/report.ts";
import { FileLock } from "../host/lock.ts";
import { listQuarantined, lockPathOf } from "../store/file.ts";
import { FallbackStore } from "../store/recovery.ts";
import { AgentSetup, topologyId, withHeartbeats } from "../tests/support/agent_setup.ts";
import { oneLan, requestOf, threeLans, withHost } from "../tests/support/apply_host.ts";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { consistent } from "../tests/support/heartbeat.ts";
import { StoreWorker } from "../tests/support/store.ts";
import { describeDrift, type KnownDrift } from "./snapshot.ts";

const never = new AbortController().signal;
const keeper = (setup: AgentSetup) => ({
  storePath: setup.storePath,
  fallback: new FallbackStore(setup.storePath),
});

function harm(path: string): void {
  Deno.writeTextFileSync(path, "no database ".repeat(999));
}

/** Returns what is reported of the quarantined store. */
function quarantineDetail(path: string): string {
  const [newest] = listQuarantined(path);
  return `the store was damaged and was moved to ${newest}; look at it, then remove it`;
}

Deno.test("S2 heartbeat quarantines a damaged store and reports it until removed", () =>
  withHeartbeats(async (setup, heartbeat) => {
    setup.apply();
    await heartbeat();
    harm(setup.storePath);
    const { heartbeat: made, received } = await heartbeat();
    assert.deepEqual(received?.store, { state: "idle", detail: quarantineDetail(setup.storePath) });
    assert.equal(received?.topology?.topology_id, null);
    // What runs is no longer known to be the agent's, and is kept.
    assert.equal(made.snapshot.drift.state, "drifted");
    assert.deepEqual(findingsOf(made).map(({ code }) => code), [1, 1]);
    setup.apply();
    const again = (await heartbeat()).received;
    assert.deepEqual(again?.store, { state: "ok", detail: quarantineDetail(setup.storePath) });
    assert.equal(again?.topology?.topology_id, topologyId);
    Deno.removeSync(listQuarantined(setup.storePath)[0]!);
    assert.deepEqual((await heartbeat()).received?.store, { state: "ok" });
  }, keeper));

Deno.test("S15 heartbeat counts the quarantined files beside the store", () =>
  withHeartbeats(async (setup, heartbeat) => {
    for (const time of ["20250101T000000Z", "20260101T000000Z"]) {
      harm(`${setup.storePath}.corrupt-${time}`);
    }
    const { store } = (await heartbeat()).heartbeat.body;
    assert.deepEqual(store, {
      state: "idle",
      detail: `the store was damaged and was moved to ${setup.storePath}.corrupt-` +
        "20260101T000000Z (and 1 earlier); look at them, then remove them",
    });
  }));

Deno.test("S2 heartbeat reports a damaged store that it may not quarantine", () =>
  withHeartbeats(async (setup, heartbeat) => {
    setup.apply();
    harm(setup.storePath);
    const bytes = Deno.readFileSync(setup.storePath);
    const detail = `Cannot read the store ${setup.storePath}: file is not a database`;
    for (let times = 0; times < 2; times++) {
      const { heartbeat: made, received } = await heartbeat();
      assert.deepEqual(received?.store, { state: "unreadable", detail });
      assert.deepEqual(findingsOf(made)[0], {
        code: 3,
        text: `${detail}; a running agent, or the next apply or teardown, moves it away and ` +
          "starts with an empty store",
      });
    }
    assert.deepEqual(Deno.readFileSync(setup.storePath), bytes);
    assert.deepEqual(listQuarantined(setup.storePath), []);
    assert.throws(() => Deno.statSync(lockPathOf(setup.storePath)), Deno.errors.NotFound);
  }));

Deno.test("SnapshotCollector.collect() leaves a damaged store that is locked", () =>
  withHeartbeats(async (setup, heartbeat) => {
    harm(setup.storePath);
    const lock = await FileLock.acquire(lockPathOf(setup.storePath), {
      purpose: "a test",
      signal: never,
    });
    assert.deepEqual((await heartbeat()).heartbeat.body.store, {
      state: "unreadable",
      detail: `Cannot read the store ${setup.storePath}: file is not a database`,
    });
    lock.release();
    assert.equal((await heartbeat()).heartbeat.body.store.state, "idle");
  }, keeper));

Deno.test("S16 a damaged store is quarantined once by several processes", async () => {
  using folder = new TemporaryFolder();
  const workers = Array.from({ length: 4 }, () => new StoreWorker());
  try {
    for (let round = 0; round < 30; round++) {
      const path = `${folder.path}/${round}/topology.db`;
      Deno.mkdirSync(path.replace(/\/[^/]*$/, ""));
      harm(path);
      const order = { kind: "repair", path } as const;
      const states = await Promise.all(workers.map((worker) => worker.answer(order)));
      // A reader that comes during the quarantine sees the empty store at its next reading.
      assert.ok(states.includes("idle"));
      assert.deepEqual(states.filter((it) => it !== "idle" && it !== "unreadable"), []);
      assert.equal(listQuarantined(path).length, 1);
    }
  } finally {
    for (const worker of workers) worker[Symbol.dispose]();
  }
});

Deno.test("S2 Applier quarantines a damaged store and continues without it", () =>
  withHost(async (host) => {
    await host.apply(threeLans);
    harm(host.storePath);
    assert.equal((await host.apply(threeLans)).changes, 0);
    await host.assertApplied(threeLans);
    assert.equal(listQuarantined(host.storePath).length, 1);
    harm(host.storePath);
    await host.teardown(threeLans.plan.topologyId);
    host.assertNothingLeft();
    assert.equal(listQuarantined(host.storePath).length, 2);
    harm(host.storePath);
    await host.applier().preview(requestOf(oneLan), never).then(
      () => assert.fail("a preview writes nothing"),
      ({ message }) =>
        assert.match(
          message,
          /^Cannot use the store .*not a database; the next apply moves it away /,
        ),
    );
    assert.equal(listQuarantined(host.storePath).length, 2);
  }));

Deno.test("describeDrift() names up to three of each kind", () => {
  assert.equal(describeDrift(consistent), null);
  assert.equal(describeDrift({ state: "unknown", detail: "why" }), "drift unknown: why");
  const some = (count: number, detail = "") =>
    Array.from({ length: count }, (_, index) => ({
      type: "container" as const,
      name: `c${index}`,
      detail,
    }));
  assert.equal(
    describeDrift({
      state: "drifted",
      missing: some(3),
      stopped: some(1, "exited"),
      unhealthy: [],
      changed: some(4),
      unexpected: some(10, "running"),
    }),
    "missing c0, c1, c2; stopped c0 (exited); changed c0, c1, c2 and 1 more; " +
      "unexpected c0 (running), c1 (running), c2 (running) and 7 more",
  );
});

Deno.test("describeDrift() cuts a reason and names that are too long", () => {
  // A stored document can have a thousand problems.
  const text = describeDrift({ state: "unknown", detail: "[NAME_MALFORMED] ".repeat(1_000) });
  assert.equal(text?.length, "drift unknown: ".length + 1_000);
  const name = "x".repeat(200_000);
  const long = { type: "container" as const, name, detail: "exited" };
  const drift: KnownDrift = { ...consistent, state: "drifted", stopped: [long, long, long, long] };
  const cut = `${name.slice(0, 249)}…`;
  assert.equal(describeDrift(drift), `stopped ${cut}, ${cut}, ${cut} and 1 more`);
});
