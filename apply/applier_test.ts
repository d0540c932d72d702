import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { TopologyStore } from "../store/topology_store.ts";
import {
  type ApplyHost,
  oneLan,
  onHost,
  refusalOf,
  requestOf,
  textOf,
  threeLans,
  validatedOf,
} from "../tests/support/apply_host.ts";
import { container, network } from "../tests/support/engine/state.ts";
import { assertNoSecrets, plantedPassword } from "../tests/support/secrets.ts";
import { runSql } from "../tests/support/store.ts";
import { until } from "../tests/support/environment.ts";
import { engineRequest } from "../topology/plan.ts";

const id = threeLans.plan.topologyId;
const prefix = "decnet_t_7c9e6679_";
const labels = { "decnet.topology.id": id };

onHost.test("Applier.apply() makes all objects in order, and reports each step", async (host) => {
  const steps: string[] = [];
  let [count, total] = [0, 0];
  const onProgress = (step: { done: number; total: number; text: string }) => {
    assert.equal(step.done, ++count);
    total = step.total;
    steps.push(step.text.replace(prefix, ""));
  };
  const { topologyId, changes } = await host.apply(threeLans, { onProgress });
  assert.deepEqual([topologyId, changes, count, total], [id, 12, 12, 12]);
  assert.deepEqual(
    steps.slice(0, 3).sort(),
    ["lan-00", "lan-01", "lan-02"].map((name) => `create network ${name}`),
  );
  const { engine } = host;
  const names = new Map(engine.containers.map((it) => [it.Id, it.Names[0]!.slice(1)]));
  const calls = engine.changes.map(({ path }) =>
    path.replace(/[0-9a-f]{64}/, (id) => names.get(id)!)
  );
  for (const { name, base } of threeLans.plan.containers) {
    const created = calls.indexOf(`/containers/create?name=${name}`);
    assert.ok(created > 2 && created < calls.indexOf(`/containers/${name}/start`));
    if (base !== null) assert.ok(calls.indexOf(`/containers/${base}/start`) < created);
  }
  await host.assertApplied(threeLans);
});

onHost.test("Applier.apply() changes nothing when nothing has changed", async (host) => {
  await host.apply(threeLans);
  const before = host.engine.changes.length;
  const calls = host.engine.requestCount;
  for (let round = 0; round < 3; round++) {
    assert.equal((await host.apply(threeLans)).changes, 0);
  }
  assert.deepEqual(host.changes(before), []);
  // Two lists, and the five images.
  assert.equal(host.engine.requestCount - calls, 3 * 7);
  await host.assertApplied(threeLans);
  // Nor when the document differs in something that is not in Docker.
  const document = JSON.parse(threeLans.text);
  document.deckies.reverse();
  document.topology.needs_resync = !document.topology.needs_resync;
  const reordered = await validatedOf(JSON.stringify(document));
  assert.notEqual(reordered.versionHash, threeLans.versionHash);
  assert.equal((await host.apply(reordered)).changes, 0);
  assert.deepEqual(host.changes(before), []);
  assert.equal(host.row()?.versionHash, reordered.versionHash);
});

onHost.test("Applier.teardown() removes services, bases, then networks backwards", async (host) => {
  await host.apply(threeLans);
  const { engine } = host;
  const names = new Map([
    ...engine.containers.map((it): [string, string] => [it.Id, it.Names[0]!.slice(1)]),
    ...engine.networks.map((it): [string, string] => [it.Id, it.Name]),
  ]);
  const before = engine.changes.length;
  assert.equal((await host.teardown(id)).changes, 12);
  const calls = engine.changes.slice(before).map(({ method, path }) => ({
    method,
    name: names.get(path.match(/[0-9a-f]{64}/)![0])!.replace(prefix, ""),
  }));
  const order = calls.filter(({ method }) => method === "DELETE").map(({ name }) => name);
  assert.deepEqual(order.slice(0, 5).sort(), [
    "decky-001-ssh",
    "decky-002-http",
    "decky-003-mysql",
    "decky-003-smb",
    "decky-004-http",
  ]);
  const bases = ["decky-001", "decky-002", "decky-003", "decky-004"];
  assert.deepEqual(order.slice(5, 9).sort(), bases);
  assert.deepEqual(order.slice(9), ["lan-02", "lan-01", "lan-00"]);
  // Each container is killed before it is removed.
  for (const name of order.slice(0, 9)) {
    const methods = calls.filter((it) => it.name === name).map(({ method }) => method);
    assert.deepEqual(methods, ["POST", "DELETE"], name);
  }
  host.assertNothingLeft();
  assert.equal((await host.teardown(id)).changes, 0);
});

onHost.test("Applier.teardown() finds a topology that is not stored by its label", async (host) => {
  await host.apply(oneLan);
  const lanName = `${prefix}some-lan`;
  const addresses = { [lanName]: "10.6.0.2" };
  const lan = network({ name: lanName, subnet: "10.6.0.0/24", labels });
  const decky = container({ name: `${prefix}some-decky`, labels, addresses });
  host.add({ networks: [lan], containers: [decky] });
  assert.equal((await host.teardown(id)).changes, 2);
  await host.assertApplied(oneLan);
  assert.equal((await host.teardown("nothing of that id")).changes, 0);
  // The same for a document that cannot be planned.
  runSql(host.storePath, `UPDATE applied_topology SET hydrated_blob_json = '{"topology":7}'`);
  await host.teardown(oneLan.plan.topologyId);
  host.assertNothingLeft();
});

onHost.test("Applier.apply() removes the old topology, then makes the new one", async (host) => {
  // The same subnet and the same names: one has to go before the other can come.
  const validated = await validatedOf(
    textOf("topology-one-lan.json").replaceAll("4444-555555555555", "4444-666666666666"),
  );
  await host.apply(oneLan);
  const before = host.engine.changes.length;
  assert.equal((await host.apply(validated, { supersede: true })).changes, 6);
  assert.deepEqual(
    host.changes(before).map((call) => call.split(" ")[0]),
    // Two containers are killed and removed; a network is removed.
    ["POST", "DELETE", "POST", "DELETE", "DELETE", ...Array(5).fill("POST")],
  );
  await host.assertApplied(validated);
  await host.teardown(validated.plan.topologyId);
  host.assertNothingLeft();
});

/** Replaces the words for the uptime of containers, by their short names. */
function setStatus({ engine }: ApplyHost, words: Readonly<Record<string, string>>): void {
  engine.containers = engine.containers.map((it) => {
    const Status = words[it.Names[0]!.replace(`/${prefix}`, "")];
    return Status === undefined ? it : { ...it, Status };
  });
}

const [fresh, older] = ["Up Less than a second", "Up 5 minutes"];

onHost.test("T6 Applier.apply() restarts no service after the clock was set back", async (host) => {
  await host.apply(threeLans);
  // The base was started before that, the service after it.
  setStatus(host, { "decky-001": fresh, "decky-001-ssh": older });
  const before = host.engine.requestCount;
  const startedAt = performance.now();
  assert.equal((await host.apply(threeLans)).changes, 0);
  assert.ok(performance.now() - startedAt >= 2_000);
  // Two lists, twice, and five images.
  assert.equal(host.engine.requestCount - before, 2 * 2 + 5);
  await host.assertApplied(threeLans);
});

onHost.test("Applier.apply() restarts a service whose base was just restarted", async (host) => {
  await host.apply(threeLans);
  setStatus(host, { "decky-001": fresh, "decky-001-ssh": older });
  const before = host.engine.changes.length;
  const count = host.engine.requestCount;
  const applied = host.apply(threeLans);
  await until(() => host.engine.requestCount >= count + 7);
  setStatus(host, { "decky-001": "Up 2 seconds" });
  assert.equal((await applied).changes, 1);
  assert.deepEqual(host.changes(before), ["POST /containers/{id}/restart"]);
});

onHost.test("Applier.apply() that waits for a second look can be stopped", async (host) => {
  await host.apply(threeLans);
  setStatus(host, { "decky-001": fresh, "decky-001-ssh": older });
  const stop = new AbortController();
  const count = host.engine.requestCount;
  const refusal = refusalOf(host.apply(threeLans, { signal: stop.signal }));
  await until(() => host.engine.requestCount >= count + 7);
  const startedAt = performance.now();
  stop.abort();
  assert.equal((await refusal).code, "failed");
  assert.ok(performance.now() - startedAt < 1_000);
});

onHost.test("Applier leaves a container whose image has the topology's label", async (host) => {
  const { engine } = host;
  // The image of another one has the label of another topology: its own label is its own.
  engine.images.add("payroll:1", undefined, labels);
  engine.images.add("other:1", undefined, { "decnet.topology.id": "other" });
  const theirs = container({ name: `${prefix}payroll-db`, image: "payroll:1", labels });
  const copy = container({
    name: `${prefix}analysis`,
    labels: { ...labels, "decnet.topology.image": "sha256:x" },
  });
  engine.images.delete("gone:1");
  const gone = container({ name: `${prefix}gone`, image: "gone:1", labels });
  const ours = container({ name: `${prefix}old`, image: "other:1", labels });
  const isThere = (item: typeof theirs) => engine.containers.some(({ Id }) => Id === item.Id);
  await host.apply(threeLans);
  assert.ok(!engine.requests.some(({ path }) => path.startsWith("/images/json")));
  host.add({ containers: [theirs, copy, gone, ours] });
  await host.apply(threeLans);
  assert.deepEqual([theirs, copy, gone, ours].map(isThere), [true, true, true, false]);
  host.add({ containers: [ours] });
  await host.teardown(id);
  assert.deepEqual([theirs, copy, gone, ours].map(isThere), [true, true, true, false]);
});

const obstacles: [what: string, prepare: (host: ApplyHost) => void, message: RegExp][] = [
  [
    "a subnet is taken",
    (host) => host.add({ networks: [network({ name: "taken", subnet: "198.18.1.77/16" })] }),
    /^subnet 198\.18\.0\.0\/24 of decnet_t_7c9e6679_lan-00 is taken by network taken \(198\.18\.1\.77\/16/,
  ],
  [
    "images are missing",
    (host) => ["decnet/smb", "decnet/mysql"].forEach((name) => host.engine.images.delete(name)),
    /^missing images: decnet\/smb:latest, decnet\/mysql:latest \(docker load -i FILE, or pull them\)$/,
  ],
];
for (const [what, prepare, message] of obstacles) {
  onHost.test(`Applier.apply() changes nothing when ${what}`, async (host) => {
    prepare(host);
    const refusal = await refusalOf(host.apply(threeLans));
    assert.equal(refusal.code, "failed");
    assert.match(refusal.message, message);
    assert.deepEqual(host.changes(), []);
    const row = host.row();
    assert.deepEqual([row?.topologyId, row?.versionHash, row?.appliedAt], [id, "", 0]);
    assert.equal(row?.lastError, refusal.message.slice(0, 500));
    host.assertOthers();
  });
}

onHost.test("Applier.apply() names all obstacles, and stores 500 characters", async (host) => {
  const { containers } = threeLans.plan;
  host.add({ containers: containers.map(({ name }) => container({ name })) });
  const { message } = await refusalOf(host.apply(threeLans));
  for (const { name } of containers) assert.ok(message.includes(`container ${name} exists`));
  assert.ok(message.length > 600);
  assert.equal(host.row()?.lastError, message.slice(0, 500));
  assert.deepEqual(host.changes(), []);
});

onHost.test("Applier changes nothing when a foreign container uses its network", async (host) => {
  await host.apply(threeLans);
  const before = host.engine.changes.length;
  const stranger = container({
    name: "stranger",
    addresses: { [`${prefix}lan-01`]: "198.18.1.9" },
  });
  host.add({ containers: [stranger] });
  const { code, message } = await refusalOf(host.teardown(id));
  assert.equal(code, "failed");
  assert.match(
    message,
    /^container stranger, which does not belong to this topology, uses network \S+: stop or remove it$/,
  );
  assert.deepEqual(host.changes(before), []);
  assert.equal(host.row()?.lastError, message);
  assert.equal(host.row()?.versionHash, threeLans.versionHash);
});

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

onHost.test("Applier.apply() stores and throws no value that the engine repeats", async (host) => {
  const { plan: { containers } } = oneLan;
  const { Env } = engineRequest(containers[1]!);
  assert.ok(JSON.stringify(Env).includes(plantedPassword));
  const message = `invalid request: ${JSON.stringify({ Env })}`;
  const path = `/containers/create?name=${containers[1]!.name}`;
  host.engine.fault = { kind: "status", status: 400, message, method: "POST", path };
  const error = await refusalOf(host.apply(oneLan));
  assert.match(error.message, / 400 \(invalid request: .*"SSH_ROOT_PASSWORD=•••\)$/);
  assert.equal(host.row()!.lastError, error.message);
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    assertNoSecrets(Deno.inspect(cause));
  }
});

onHost.test("Applier.teardown() that removes nothing makes no state folder", async (host) => {
  const storePath = `${host.folder.path}/state/topology.db`;
  const teardown = () =>
    host.applier({ storePath }).teardown(id, { signal: new AbortController().signal });
  assert.equal((await teardown()).changes, 0);
  host.engine.fault = { kind: "status", status: 500, message: "no" };
  const { code, message } = await refusalOf(teardown());
  assert.equal(code, "failed");
  assert.match(message, /^GET \/(networks|containers\/json) was answered with 500 \(no\)$/);
  await host.engine.stop();
  assert.equal((await refusalOf(teardown())).code, "failed");
  await assert.rejects(Deno.lstat(`${host.folder.path}/state`), Deno.errors.NotFound);
});

onHost.test("Applier.apply() says why it could not store, and can be finished", async (host) => {
  fillDisk(host, "NEW.applied_version_hash <> ''");
  const { code, message } = await refusalOf(host.apply(threeLans));
  assert.deepEqual([code, message], ["failed", "the disk is full"]);
  assert.equal(host.row()?.lastError, "the disk is full");
  runSql(host.storePath, "DROP TRIGGER full");
  assert.equal((await host.apply(threeLans)).changes, 0);
  await host.assertApplied(threeLans);
});

onHost.test("Applier.apply() says that its error could not be stored either", async (host) => {
  fillDisk(host, "TRUE");
  const { message } = await refusalOf(host.apply(threeLans));
  const full = "the disk is full";
  assert.equal(message, `${full}; and this could not be recorded: ${full}`);
  assert.equal(host.row(), null);
  // There is no row, but there are the labels.
  await host.teardown(id);
  host.assertNothingLeft();
});

onHost.test("Applier changes nothing while another process locks the store", async (host) => {
  TopologyStore.open(host.storePath).close();
  const database = new DatabaseSync(host.storePath);
  try {
    // It can still be read, and so the apply would notice at its very end.
    database.exec("BEGIN IMMEDIATE");
    const { code, message } = await refusalOf(host.apply(threeLans));
    assert.equal(code, "failed");
    assert.match(message, /topology\.db: database is locked$/);
    assert.deepEqual(host.changes(), []);
  } finally {
    database.close();
  }
  await host.apply(threeLans);
  await host.assertApplied(threeLans);
});

onHost.test("Applier changes nothing when it cannot open its store", async (host) => {
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
        ? applier.apply(requestOf(threeLans), { signal })
        : applier.teardown(id, { signal });
      const { code, message } = await refusalOf(run);
      assert.equal(code, "failed");
      assert.match(message, expected);
    }
  }
  assert.equal(host.engine.requestCount, 0);
});

onHost.test("Applier lets one apply wait for another, and names the holder", async (host) => {
  host.engine.latencyMs = 10;
  const holders: string[] = [];
  const first = host.apply(threeLans);
  await until(() => host.engine.requestCount > 0);
  const onWait = (holder: string) => holders.push(holder);
  const [one, other] = await Promise.all([first, host.apply(threeLans, { onWait })]);
  assert.deepEqual([one.changes, other.changes], [12, 0]);
  assert.equal(holders.length, 1);
  assert.match(holders[0]!, new RegExp(`^process ${Deno.pid} since \\S+ for apply ${id}$`));
  // Twelve objects: nine of them are started, and two attached to one more network.
  assert.equal(host.changes().length, 12 + 9 + 2);
  await host.assertApplied(threeLans);
  const count = host.engine.requestCount;
  const again = host.apply(threeLans);
  await until(() => host.engine.requestCount > count);
  const torn = await host.teardown(id, { onWait });
  assert.deepEqual([(await again).changes, torn.changes], [0, 12]);
  host.assertNothingLeft();
});

onHost.test("Applier rejects an apply that may not wait, and unlocks on failure", async (host) => {
  host.engine.latencyMs = 20;
  host.engine.fault = { kind: "status", status: 500, message: "no", path: "/containers/create" };
  const failing = refusalOf(host.apply(threeLans));
  await until(() => host.engine.requestCount > 0);
  const { code, message } = await refusalOf(host.apply(oneLan));
  assert.equal(code, "busy");
  assert.match(
    message,
    /^another apply or teardown is running: held by process \d+ since \S+ for/,
  );
  assert.equal((await refusalOf(host.teardown(id))).code, "busy");
  assert.equal((await failing).code, "failed");
  host.engine.fault = undefined;
  await host.apply(threeLans);
  await host.assertApplied(threeLans);
});

onHost.test("Applier stops waiting for its turn when it is stopped", async (host) => {
  host.engine.latencyMs = 100;
  const stop = new AbortController();
  const first = host.apply(threeLans);
  await until(() => host.engine.requestCount > 0);
  const waiting = refusalOf(
    host.apply(oneLan, { signal: stop.signal, onWait: () => stop.abort() }),
  );
  assert.deepEqual(
    [(await waiting).code, (await waiting).message],
    ["busy", "stopped while waiting for another apply or teardown"],
  );
  await first;
  await host.assertApplied(threeLans);
});

onHost.test("Applier.apply() waits for a store that is locked before a change", async (host) => {
  host.engine.latencyMs = 200;
  const applied = host.apply(oneLan);
  await until(() => host.engine.requestCount > 0);
  const database = new DatabaseSync(host.storePath);
  // Readers, too, are kept out while the engine's first answer is due, and after it.
  database.exec("BEGIN EXCLUSIVE");
  await new Promise((resolve) => setTimeout(resolve, 600));
  database.exec("ROLLBACK");
  database.close();
  await applied;
  await host.assertApplied(oneLan);
});
