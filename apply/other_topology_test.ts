import assert from "node:assert/strict";
import { historyPathOf, readHistory, readRefusedPush } from "../store/history.ts";
import { FallbackStore } from "../store/recovery.ts";
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
import { until } from "../tests/support/environment.ts";
import { runSql } from "../tests/support/store.ts";
import { standInOptions } from "../tests/support/topology.ts";

const oneId = oneLan.plan.topologyId;
const threeId = threeLans.plan.topologyId;
const third = await validatedOf(
  textOf("topology-one-lan.json").replaceAll("11111111-2222", "33333333-2222"),
);
const refused = `agent already has topology '${oneId}'; cannot apply '${threeId}'`;
const ways = ["apply", "push"] as const;

/** Applies the document of one LAN without its images: an error is stored, and nothing was made. */
async function failWithoutImages(host: ApplyHost): Promise<void> {
  const { images } = host.engine;
  host.engine.images = [];
  assert.match((await refusalOf(host.apply(oneLan))).message, /^missing images/);
  host.engine.images = images;
  assert.equal(host.row()?.versionHash, "");
}

/** Applies a document up to a call that fails: of one LAN, its first container. */
async function failHalfway(host: ApplyHost, path = "/containers/create", document = oneLan) {
  host.engine.fault = { kind: "status", status: 500, message: "no", path };
  assert.equal((await refusalOf(host.apply(document))).code, "failed");
  host.engine.fault = undefined;
  assert.equal(host.row()?.versionHash, "");
}

for (const way of ways) {
  onHost.test(`M25 Applier.apply() replaces an error without objects: ${way}`, async (host) => {
    await failWithoutImages(host);
    assert.equal((await host[way](threeLans)).changed, true);
    await host.assertApplied(threeLans);
  });

  onHost.test(`M25 Applier.apply() says what is left of a failure: ${way}`, async (host) => {
    await failHalfway(host);
    const [row, before] = [host.row(), host.engine.changes.length];
    const { code, message } = await refusalOf(host[way](threeLans));
    const left = `an apply of '${oneId}' has failed, and 1 network of it is left: ` +
      `decnet_t_11111111_lan-00; remove them with decnet-agent teardown ${oneId}`;
    assert.deepEqual([code, message], ["conflict", `${refused}: ${left}`]);
    assert.deepEqual([host.row(), host.changes(before)], [row, []]);
    await host.teardown(oneId);
    await host[way](threeLans);
    await host.assertApplied(threeLans);
  });
}

onHost.test("Applier.apply() names three of the objects that are left", async (host) => {
  await failHalfway(host, "/containers/create?name=decnet_t_7c9e6679_decky-003", threeLans);
  const { message } = await refusalOf(host.apply(oneLan));
  const [, networks, containers, names, more] =
    /and (\d) networks and (\d) containers? of it are left: ([^;]+) and (\d) more; remove them/
      .exec(message)!;
  const { engine } = host;
  const left = [
    ...engine.networks.map(({ Name }) => Name),
    ...engine.containers.map(({ Names }) => Names[0]!.slice(1)),
  ].filter((it) => /^decnet_t_7c9e6679_(lan|decky)-/.test(it)).sort();
  assert.equal(names, left.slice(0, 3).join(", "));
  assert.deepEqual([Number(networks), Number(containers)], [3, left.length - 3]);
  assert.equal(Number(more), left.length - 3);
});

onHost.test("Applier.apply() counts what the first agent has made as left", async (host) => {
  await failWithoutImages(host);
  const lan = network({ name: "decnet_t_11111111_lan-00", subnet: "198.19.0.0/24" });
  host.add({ networks: [lan] });
  assert.match((await refusalOf(host.push(threeLans))).message, /1 network of it is left/);
  host.engine.networks = host.engine.networks.filter((it) => it !== lan);
  await host.push(threeLans);
});

onHost.test("Applier.apply() does not count what a teardown would leave", async (host) => {
  await failWithoutImages(host);
  // A copy by docker commit, and a decoy that was renamed.
  const labels = { "decnet.topology.id": oneId };
  const copy = { ...labels, "decnet.topology.image": "sha256:x" };
  const copied = container({ name: "decnet_t_11111111_copy", labels: copy });
  host.add({ containers: [copied, container({ name: "kept-for-analysis", labels })] });
  await host.push(threeLans);
  assert.equal(host.row()?.topologyId, threeId);
});

onHost.test("Applier.apply() stores its own error in the place of another one", async (host) => {
  await failWithoutImages(host);
  host.engine.images = [];
  const { message } = await refusalOf(host.push(threeLans));
  const { topologyId, lastError, document } = host.row()!;
  assert.deepEqual([topologyId, lastError], [threeId, message]);
  assert.equal(document.length, threeLans.text.length);
  assert.equal(readRefusedPush(host.storePath, threeId), null);
});

for (const supersede of [false, true]) {
  onHost.test(`Applier.apply() fails when what is left is unknown: ${supersede}`, async (host) => {
    await failWithoutImages(host);
    const row = host.row();
    host.engine.fault = { kind: "status", status: 500, message: "no" };
    const { code, message } = await refusalOf(host.push(threeLans, { supersede }));
    assert.equal(code, "failed");
    assert.match(message, /was answered with 500 \(no\)$/);
    assert.deepEqual(host.row(), row);
    assert.equal(
      readRefusedPush(host.storePath, oneId)?.detail,
      `'${oneId}' stays, as '${threeId}' cannot be applied: ${message}`,
    );
    host.engine.fault = undefined;
    await host.push(threeLans, { supersede });
    await host.assertApplied(threeLans);
  });
}

onHost.test("Applier.apply() refuses one of two that replace an error", async (host) => {
  await failWithoutImages(host);
  host.engine.latencyMs = 5;
  const onWait = () => {};
  const ended = await Promise.allSettled([
    host.push(threeLans, { onWait }),
    host.push(third, { onWait }),
  ]);
  const codes = ended.map((it) => it.status === "fulfilled" ? "applied" : it.reason.code);
  assert.deepEqual(codes.sort(), ["applied", "conflict"]);
});

onHost.test("Applier.apply() replaces an error without objects in memory, too", async (host) => {
  await failWithoutImages(host);
  const fallback = new FallbackStore(host.storePath);
  runSql(
    host.storePath,
    `CREATE TRIGGER full BEFORE INSERT ON applied_topology
     BEGIN SELECT RAISE(ABORT, 'the disk is full'); END`,
  );
  const applier = host.applier({ fallback });
  await applier.apply(requestOf(threeLans), { signal: new AbortController().signal });
  assert.equal(fallback.current()?.topologyId, threeId);
});

onHost.test("Applier.apply() is refused by a row behind an error without objects", async (host) => {
  await failWithoutImages(host);
  // Two rows, as the first agent could leave them.
  runSql(host.storePath, "DROP INDEX applied_topology_one_row");
  const row = "'older', 'h', '{}', -1, NULL";
  runSql(host.storePath, `INSERT INTO applied_topology VALUES (${row})`);
  const { code, message } = await refusalOf(host.push(threeLans));
  assert.equal(code, "conflict");
  assert.match(message, /^agent already has topology 'older'; cannot apply/);
});

onHost.test("Applier.apply() says to a push what to do at the master", async (host) => {
  await host.apply(oneLan);
  const { message } = await refusalOf(host.push(threeLans));
  const advice = `tear '${oneId}' down for this host at the master first, ` +
    "or set supersede = true here";
  assert.equal(message, `${refused}: ${advice}`);
  const { code, keptId, detail } = readRefusedPush(host.storePath, oneId)!;
  assert.deepEqual([code, keptId, detail], ["conflict", oneId, message]);
});

onHost.test("Applier.apply() by hand is refused without a record", async (host) => {
  await host.apply(oneLan);
  const count = host.engine.requestCount;
  const { code, message } = await refusalOf(host.apply(threeLans));
  assert.deepEqual([code, message, host.engine.requestCount], ["conflict", refused, count]);
  // Nor does a teardown make a history.
  await host.teardown(threeId);
  await host.teardown(oneId);
  assert.throws(() => Deno.statSync(historyPathOf(host.storePath)), Deno.errors.NotFound);
});

onHost.test("Applier.apply() records no refusal when the agent is stopped", async (host) => {
  await host.apply(oneLan);
  host.engine.fault = { kind: "hang" };
  const stop = new AbortController();
  const before = host.engine.requestCount;
  const pushed = refusalOf(host.push(threeLans, { supersede, signal: stop.signal }));
  await until(() => host.engine.requestCount > before);
  stop.abort();
  assert.match((await pushed).message, /^interrupted by a signal/);
  assert.equal(readRefusedPush(host.storePath, oneId), null);
});

onHost.test("a refused push is forgotten when the topology goes, or after 10 min", async (host) => {
  await host.apply(oneLan);
  await refusalOf(host.push(threeLans));
  assert.ok(readRefusedPush(host.storePath, oneId));
  assert.equal(readRefusedPush(host.storePath, threeId), null);
  pass(host, 9);
  assert.ok(readRefusedPush(host.storePath, oneId));
  pass(host, 1);
  assert.equal(readRefusedPush(host.storePath, oneId), null);
  await refusalOf(host.push(threeLans));
  assert.ok(readRefusedPush(host.storePath, oneId));
  // The clock is set back by an hour.
  pass(host, -60);
  assert.equal(readRefusedPush(host.storePath, oneId), null);
});

for (
  const [what, change] of Object.entries<(host: ApplyHost) => Promise<unknown>>({
    "the refused one is torn down": (host) => host.teardown(threeId),
    "the refused one is applied": async (host) => {
      await host.push(threeLans, { supersede });
      await host.push(oneLan, { supersede });
    },
    "the stored one is torn down": async (host) => {
      await host.teardown(oneId);
      await host.push(oneLan);
    },
    "the stored one is replaced": async (host) => {
      await host.apply(third, { supersede });
      await host.apply(oneLan, { supersede });
    },
    "the agent gives up the host": async (host) => {
      await host.applier().teardownStored({ signal: new AbortController().signal });
      await host.push(oneLan);
    },
  })
) {
  onHost.test(`a refused push is forgotten when ${what}`, async (host) => {
    await host.apply(oneLan);
    await refusalOf(host.push(threeLans));
    // Neither of these ends it: the master still wants the other topology.
    await host.push(oneLan);
    await host.teardown(third.plan.topologyId);
    assert.ok(readRefusedPush(host.storePath, oneId));
    await change(host);
    await host.assertApplied(oneLan);
    assert.equal(readRefusedPush(host.storePath, oneId), null);
  });
}

onHost.test("a push that is repeated writes its refusal once a minute", async (host) => {
  await host.apply(oneLan);
  const refusedAt = async () => {
    await refusalOf(host.push(threeLans));
    return readHistory(host.storePath).refused!.at;
  };
  const first = await refusedAt();
  assert.equal(await refusedAt(), first);
  pass(host, 1);
  assert.ok(await refusedAt() >= first);
});

/** Each thing that keeps a document from being applied, and a part of the message. */
const obstacles: [what: string, prepare: (host: ApplyHost) => void, message: RegExp][] = [
  ["a missing image", ({ engine }) => engine.images.delete("decnet/smb"), /^missing images/],
  [
    "a taken subnet",
    (host) => host.add({ networks: [network({ name: "x", subnet: "198.18.1.0/24" })] }),
    /^subnet 198\.18\.\S+ of \S+ is taken by network x/,
  ],
];
onHost.test("Applier.apply() supersedes nothing because of a port or a hash", async (host) => {
  await host.apply(oneLan);
  const [row, before] = [host.row(), host.engine.changes.length];
  const gateway = await validatedOf(threeLans.text.replaceAll('"ssh"', '"mysql"'));
  const planOptions = { ...standInOptions, publish: "192.0.2.1" };
  const applier = host.applier({ supersede: true, planOptions });
  const request = { ...requestOf(gateway), callerAddress: "192.0.2.7" };
  const { signal } = new AbortController();
  const port = await refusalOf(applier.apply(request, { signal }));
  assert.equal(port.code, "failed");
  assert.match(port.message, /publishes 3306\/tcp on 192\.0\.2\.1, but this host does not have/);
  const hash = applier.apply({ ...request, expectedHash: "0".repeat(64) }, { signal });
  assert.equal((await refusalOf(hash)).code, "invalid");
  assert.deepEqual([host.changes(before), host.row()], [[], row]);
});

for (const [what, prepare, expected] of obstacles) {
  onHost.test(`Applier.apply() supersedes nothing because of ${what}`, async (host) => {
    await host.apply(oneLan);
    const [row, before] = [host.row(), host.engine.changes.length];
    prepare(host);
    const { code, message } = await refusalOf(host.push(threeLans, { supersede: true }));
    assert.equal(code, "failed");
    assert.match(message, expected);
    assert.deepEqual([host.changes(before), host.row()], [[], row]);
    assert.deepEqual(readHistory(host.storePath).replaced, []);
    const push = readRefusedPush(host.storePath, oneId);
    assert.equal(push?.code, "failed");
    assert.ok(push?.detail.endsWith(message));
  });
}

/** Lets so many minutes pass for the history; a negative number sets the clock back. */
function pass({ storePath }: Pick<ApplyHost, "storePath">, minutes: number): void {
  const path = historyPathOf(storePath);
  const text = Deno.readTextFileSync(path).replaceAll(
    /"(at|since)":(\d+)/g,
    (_, name, time) => `"${name}":${Number(time) - minutes * 60_000}`,
  );
  Deno.writeTextFileSync(path, text);
}

const supersede = true;
type Validated = typeof oneLan;

/** Pushes one document after the other, each by a new agent. */
async function pushAll(host: ApplyHost, ...documents: Validated[]): Promise<void> {
  for (const document of documents) await host.push(document, { supersede });
}

/** Asserts that a push is refused because of a loop, and that nothing has changed. */
async function assertLoop(host: ApplyHost, pushed: Validated, kept: Validated): Promise<string> {
  const before = host.engine.changes.length;
  const { code, message } = await refusalOf(host.push(pushed, { supersede }));
  assert.equal(code, "loop");
  const [keptId, id] = [kept, pushed].map(({ plan }) => plan.topologyId);
  const text = "topologies have replaced each other on this host again and again; " +
    "at the master, tear down all but one of them for this host";
  const start = `agent already has topology '${keptId}'; cannot apply '${id}' before `;
  assert.ok(message.startsWith(start), message);
  assert.ok(message.endsWith(`Z: ${text}`), message);
  assert.deepEqual(host.changes(before), []);
  await host.assertApplied(kept);
  assert.equal(readRefusedPush(host.storePath, keptId!)?.detail, message);
  return message;
}

onHost.test("M26 Applier.apply() ends a loop of two topologies for 10 minutes", async (host) => {
  await pushAll(host, oneLan, threeLans, oneLan);
  const message = await assertLoop(host, threeLans, oneLan);
  pass(host, 9);
  const later = await assertLoop(host, threeLans, oneLan);
  // It is the same refusal: it does not begin anew with each push.
  assert.equal(9 * 60, secondsOf(message) - secondsOf(later));
  // Also when the clock is set back.
  pass(host, -1);
  await assertLoop(host, threeLans, oneLan);
  pass(host, 1);
  // The topology that runs is still applied.
  assert.equal((await host.push(oneLan, { supersede })).changes, 0);
  pass(host, 1);
  await pushAll(host, threeLans, oneLan);
  await assertLoop(host, threeLans, oneLan);
});

/** The time in the message of a loop, in seconds. */
function secondsOf(message: string): number {
  return Date.parse(/before (\S+Z)/.exec(message)![1]!) / 1000;
}

onHost.test("Applier.apply() lets topologies replace each other slowly", async (host) => {
  await pushAll(host, oneLan);
  for (const document of [threeLans, oneLan, threeLans, oneLan, threeLans]) {
    await pushAll(host, document);
    pass(host, 6);
  }
  await host.assertApplied(threeLans);
});

onHost.test("M26 Applier.apply() ends a loop of three topologies", async (host) => {
  await pushAll(host, oneLan, threeLans, oneLan);
  await assertLoop(host, threeLans, oneLan);
  await pushAll(host, third);
  await assertLoop(host, threeLans, third);
  await assertLoop(host, oneLan, third);
});

onHost.test("Applier.apply() counts no replacement of what was torn down since", async (host) => {
  await pushAll(host, oneLan, threeLans, oneLan);
  await assertLoop(host, threeLans, oneLan);
  // The master's operator does as the refusal says, and deploys both again later.
  await host.teardown(oneId);
  await pushAll(host, threeLans);
  await host.teardown(threeId);
  await pushAll(host, oneLan, threeLans, oneLan);
  await assertLoop(host, threeLans, oneLan);
  await host.teardown(threeId);
  const ids = readHistory(host.storePath).replaced.map(({ topologyId }) => topologyId);
  assert.deepEqual(ids, [oneId]);
});

onHost.test("Applier.apply() ends a loop in which one topology always fails", async (host) => {
  await pushAll(host, oneLan);
  const path = "/networks/create";
  host.engine.fault = { kind: "status", status: 500, message: "no", path };
  assert.equal((await refusalOf(host.push(threeLans, { supersede }))).code, "failed");
  host.engine.fault = undefined;
  await pushAll(host, oneLan);
  await assertLoop(host, threeLans, oneLan);
});

onHost.test("Applier.apply() that failed is no loop when it is pushed again", async (host) => {
  await pushAll(host, oneLan);
  const counts: number[] = [];
  for (const path of ["/containers/", "/networks/create", "/containers/create"]) {
    const method = path === "/containers/" ? "DELETE" : "POST";
    host.engine.fault = { kind: "status", status: 500, message: "no", path, method };
    assert.equal((await refusalOf(host.push(threeLans, { supersede }))).code, "failed");
    counts.push(readHistory(host.storePath).replaced.length);
  }
  // The first removal was tried again, and the third apply found nothing to replace.
  assert.deepEqual(counts, [1, 1, 1]);
  host.engine.fault = undefined;
  await pushAll(host, threeLans);
  await host.assertApplied(threeLans);
});

onHost.test("Applier.apply() by hand is bound by no loop, and counts after", async (host) => {
  await pushAll(host, oneLan, threeLans, oneLan);
  await assertLoop(host, threeLans, oneLan);
  await host.apply(threeLans, { supersede });
  await assertLoop(host, oneLan, threeLans);
  await host.apply(oneLan, { supersede });
  await host.assertApplied(oneLan);
});

for (
  const [what, damage] of Object.entries<(path: string) => void>({
    "is gone": (path) => Deno.removeSync(path),
    "is damaged": (path) => Deno.writeTextFileSync(path, '{"replaced":[{"at":"soon"}]}'),
    "is of the future": (path) => pass({ storePath: path }, -60 * 24 * 365),
    "is of the past": (path) => pass({ storePath: path }, 60 * 24 * 365),
  })
) {
  onHost.test(`S26 Applier.apply() supersedes when its history ${what}`, async (host) => {
    await pushAll(host, oneLan, threeLans, oneLan);
    await assertLoop(host, threeLans, oneLan);
    damage(historyPathOf(host.storePath));
    await pushAll(host, threeLans, oneLan);
    // What has happened since counts again.
    await assertLoop(host, threeLans, oneLan);
  });
}

onHost.test("S26 Applier.apply() ends a loop where its history cannot be written", async (host) => {
  Deno.mkdirSync(`${historyPathOf(host.storePath)}/x`, { recursive: true });
  const applier = host.applier({ supersede });
  const signal = new AbortController().signal;
  const push = (document: Validated) =>
    applier.apply({ ...requestOf(document), callerAddress: "192.0.2.7" }, { signal });
  for (const document of [oneLan, threeLans, oneLan]) await push(document);
  assert.equal((await refusalOf(push(threeLans))).code, "loop");
  await host.assertApplied(oneLan);
  assert.deepEqual([...Deno.readDirSync(host.folder.path)].map(({ name }) => name).sort(), [
    "apply.lock",
    "docker.sock",
    "history.json",
    "topology.db",
  ]);
});

onHost.test("Applier.apply() keeps three replacements, for its owner alone", async (host) => {
  await pushAll(host, oneLan);
  for (const document of [threeLans, third, oneLan, threeLans]) {
    await host.apply(document, { supersede });
  }
  const ids = readHistory(host.storePath).replaced.map(({ topologyId }) => topologyId);
  assert.deepEqual(ids, [threeId, third.plan.topologyId, oneId]);
  assert.equal(Deno.statSync(historyPathOf(host.storePath)).mode! & 0o777, 0o600);
});

onHost.test("conflictError() puts no id into a command that a shell would run", async (host) => {
  await failHalfway(host);
  using store = TopologyStore.open(host.storePath);
  store.replace({ ...host.row()!, topologyId: "x; rm -rf /" });
  const name = "decnet_t_x; rm -r_lan-00";
  const labels = { "decnet.topology.id": "x; rm -rf /" };
  host.engine.networks = [network({ name, subnet: "198.19.0.0/24", labels })];
  const { message } = await refusalOf(host.push(threeLans));
  assert.match(message, /; remove them with decnet-agent teardown ID$/);
});
