import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { TopologyStore } from "../store/mod.ts";
import { type ApplyHost, oneLan, refusalOf, threeLans, withHost } from "./apply_host.ts";
import { runSql } from "./sample_store.ts";

const id = threeLans.plan.topologyId;
const conflict = `agent already has topology '${oneLan.plan.topologyId}'; cannot apply '${id}'`;

/** Makes the store refuse the rows for which a condition holds, as a full disk does. */
function fillDisk({ storePath }: ApplyHost, condition: string): void {
  using store = TopologyStore.open(storePath);
  store.prepare();
  runSql(
    storePath,
    `CREATE TRIGGER full BEFORE INSERT ON applied_topology WHEN ${condition}
     BEGIN SELECT RAISE(ABORT, 'the disk is full'); END`,
  );
}

Deno.test("Applier.apply() refuses another topology without a look at the engine", () =>
  withHost(async (host) => {
    await host.apply(oneLan);
    const [row, count] = [host.row(), host.engine.requestCount];
    const { kind, message } = await refusalOf(host.apply(threeLans));
    assert.deepEqual([kind, message], ["conflict", conflict]);
    assert.equal(host.engine.requestCount, count);
    assert.deepEqual(host.row(), row);
    await host.assertApplied(oneLan);
  }));

Deno.test("Applier.apply() refuses another topology even where only an error is stored", () =>
  withHost(async (host) => {
    host.engine.images.clear();
    await refusalOf(host.apply(oneLan));
    assert.equal((await refusalOf(host.apply(threeLans))).kind, "conflict");
    await host.teardown(oneLan.plan.topologyId);
    assert.equal(host.row(), null);
  }));

Deno.test("Applier.apply() stores the error where it is the first, and the document with it", () =>
  withHost(async (host) => {
    host.engine.fault = { kind: "status", status: 500, message: "no", path: "/containers/create" };
    const { message } = await refusalOf(host.apply(threeLans));
    assert.match(
      message,
      /^Cannot create container \S+: POST \/containers\/create was ans.*500 \(no\)$/,
    );
    const { document, appliedAt, versionHash, lastError } = host.row()!;
    assert.deepEqual([appliedAt, versionHash, lastError], [0, "", message]);
    assert.equal(document.length, threeLans.text.length);
    host.engine.fault = undefined;
    await host.apply(threeLans);
    await host.assertApplied(threeLans);
  }));

Deno.test("Applier.teardown() records no error for what is not stored", () =>
  withHost(async (host) => {
    host.engine.fault = { kind: "status", status: 500, message: "no" };
    const { kind, message } = await refusalOf(host.teardown(id));
    assert.equal(kind, "failed");
    assert.match(message, /^GET \/(networks|containers\/json) was answered with 500 \(no\)$/);
    assert.equal(host.row(), null);
  }));

Deno.test("Applier.apply() tells why Docker's state could not be stored, and is done by a second one", () =>
  withHost(async (host) => {
    fillDisk(host, "NEW.applied_version_hash <> ''");
    const { kind, message } = await refusalOf(host.apply(threeLans));
    assert.deepEqual([kind, message], ["failed", "the disk is full"]);
    assert.equal(host.row()?.lastError, "the disk is full");
    runSql(host.storePath, "DROP TRIGGER full");
    assert.equal((await host.apply(threeLans)).changes, 0);
    await host.assertApplied(threeLans);
  }));

Deno.test("Applier.apply() tells that its error could not be stored either", () =>
  withHost(async (host) => {
    fillDisk(host, "TRUE");
    const { message } = await refusalOf(host.apply(threeLans));
    const full = "the disk is full";
    assert.equal(message, `${full}; and this could not be recorded: ${full}`);
    assert.equal(host.row(), null);
    // There is no row, but there are the labels.
    await host.teardown(id);
    host.assertNothingLeft();
  }));

Deno.test("Applier changes nothing while somebody else holds the store locked", () =>
  withHost(async (host) => {
    TopologyStore.open(host.storePath).close();
    const database = new DatabaseSync(host.storePath);
    try {
      // It can still be read, and so the apply would notice at its very end.
      database.exec("BEGIN IMMEDIATE");
      const { kind, message } = await refusalOf(host.apply(threeLans));
      assert.equal(kind, "failed");
      assert.match(message, /topology\.db: database is locked$/);
      assert.deepEqual(host.changes(), []);
    } finally {
      database.close();
    }
    await host.apply(threeLans);
    await host.assertApplied(threeLans);
  }));

Deno.test("Applier changes nothing where it cannot have its store", () =>
  withHost(async (host) => {
    Deno.mkdirSync(host.storePath);
    Deno.writeTextFileSync(`${host.folder.path}/file`, "");
    const paths: [storePath: string, message: RegExp][] = [
      [host.storePath, /^Cannot use the store \S+\/topology\.db: /],
      [`${host.folder.path}/file/topology.db`, /^Cannot lock \S+\/file\/apply\.lock: /],
    ];
    for (const [storePath, expected] of paths) {
      const applier = host.applier({ storePath });
      const signal = new AbortController().signal;
      for (const isApply of [true, false]) {
        const run = isApply
          ? applier.apply(threeLans, { signal })
          : applier.teardown(id, { signal });
        const { kind, message } = await refusalOf(run);
        assert.equal(kind, "failed");
        assert.match(message, expected);
      }
    }
    assert.equal(host.engine.requestCount, 0);
  }));

Deno.test("Applier lets one wait for another, and tells it for whom", () =>
  withHost(async (host) => {
    host.engine.latencyMs = 10;
    const holders: string[] = [];
    const first = host.apply(threeLans);
    const [one, other] = await Promise.all([
      first,
      host.apply(threeLans, { onWait: (holder) => holders.push(holder) }),
    ]);
    assert.deepEqual([one.changes, other.changes], [12, 0]);
    assert.equal(holders.length, 1);
    assert.match(holders[0]!, new RegExp(`^process ${Deno.pid} since \\S+ for apply ${id}$`));
    // Twelve objects: nine of them are started, and two attached to one more network.
    assert.equal(host.changes().length, 12 + 9 + 2);
    await host.assertApplied(threeLans);
  }));

Deno.test("Applier lets an apply and a teardown follow one another", () =>
  withHost(async (host) => {
    host.engine.latencyMs = 5;
    const onWait = () => {};
    const results = await Promise.all([
      host.apply(threeLans),
      host.teardown(id, { onWait }),
    ]);
    assert.deepEqual(results.map(({ changes }) => changes), [12, 12]);
    host.assertNothingLeft();
  }));

Deno.test("Applier refuses where it may not wait, and gives its turn back after a failure", () =>
  withHost(async (host) => {
    host.engine.latencyMs = 20;
    host.engine.fault = { kind: "status", status: 500, message: "no", path: "/containers/create" };
    const failing = refusalOf(host.apply(threeLans));
    const { kind, message } = await refusalOf(host.apply(oneLan));
    assert.equal(kind, "busy");
    assert.match(
      message,
      /^another apply or teardown is under way: held by process \d+ since \S+ for/,
    );
    assert.equal((await refusalOf(host.teardown(id))).kind, "busy");
    assert.equal((await failing).kind, "failed");
    host.engine.fault = undefined;
    await host.apply(threeLans);
    await host.assertApplied(threeLans);
  }));

Deno.test("Applier stops waiting for its turn when it is stopped", () =>
  withHost(async (host) => {
    host.engine.latencyMs = 100;
    const stop = new AbortController();
    const first = host.apply(threeLans);
    const waiting = refusalOf(
      host.apply(oneLan, { signal: stop.signal, onWait: () => stop.abort() }),
    );
    assert.deepEqual(
      [(await waiting).kind, (await waiting).message],
      ["busy", "stopped before its turn had come"],
    );
    await first;
    await host.assertApplied(threeLans);
  }));
