import assert from "node:assert/strict";
import { Agent } from "../agent/heartbeat.ts";
import { Wakeup } from "../agent/schedule.ts";
import type { Log } from "../host/log.ts";
import { FallbackStore } from "../store/recovery.ts";
import { TopologyStore } from "../store/topology_store.ts";
import { withAgent } from "../tests/support/agent_setup.ts";
import { ApiSetup } from "../tests/support/api_setup.ts";
import {
  ApplyHost,
  oneLan,
  requestOf,
  textOf,
  threeLans,
  validatedOf,
  withHost,
} from "../tests/support/apply_host.ts";
import { until } from "../tests/support/environment.ts";
import { standInOptions } from "../tests/support/topology.ts";
import { writeJson } from "../topology/json.ts";
import { TopologyService } from "./topology_service.ts";

const never = new AbortController().signal;
const third = await validatedOf(
  textOf("topology-one-lan.json").replaceAll("11111111-2222", "33333333-2222"),
);
const scheduled = { status: "self_destruct_scheduled" };
const client = { address: "192.0.2.7", clientSignal: never };

/** A host, what its service has logged, and a push to it that may be refused. */
interface LoggedService {
  readonly host: ApplyHost;
  readonly lines: string[];
  readonly push: (document: typeof oneLan) => Promise<void>;
  readonly service: TopologyService;
  readonly wakeup: Wakeup;
}

/** Defines tests of what a service logs. */
const logging = (supersede: boolean) => ({
  test: (title: string, run: (service: LoggedService) => Promise<void>) =>
    Deno.test(title, () =>
      withHost((host) =>
        withAgent(async (_, agent) => {
          const lines: string[] = [];
          const log: Log = (level, message, fields) =>
            level !== "debug" && lines.push(`${message} ${JSON.stringify(fields)}`);
          const applier = host.applier({ supersede });
          const wakeup = new Wakeup();
          const service = new TopologyService({ agent, applier, wakeup, log, signal: never });
          const push = ({ text, versionHash }: typeof oneLan) =>
            service.apply(JSON.parse(text), versionHash, client).catch(() => {});
          await run({ host, lines, push, service, wakeup });
        })
      )),
});
const refusing = logging(false);
const superseding = logging(true);

refusing.test("TopologyService logs refusals between successes with growing gaps", async (on) => {
  await on.push(oneLan);
  for (let round = 0; round < 5; round++) {
    // Both topologies are pushed, and one of them is applied.
    await on.push(threeLans);
    await on.push(oneLan);
  }
  const refusals = on.lines.slice(1).map((line) => /"refusals":(\d+)/.exec(line)![1]);
  assert.deepEqual(refusals, ["1", "2", "4"]);
});

superseding.test("TopologyService logs once that three replace each other", async (on) => {
  for (const document of [oneLan, threeLans, third]) await on.push(document);
  on.lines.length = 0;
  for (let round = 0; round < 5; round++) {
    await on.push(oneLan);
    await on.push(threeLans);
    // Repairing what runs is a change.
    on.host.engine.containers = on.host.engine.containers.slice(0, -1);
    await on.push(third);
  }
  const loops = on.lines.filter((line) => line.includes("again and again"));
  assert.equal(loops.length, 1, loops.join("\n"));
});

refusing.test("TopologyService logs a new refusal after many of another kind", async (on) => {
  await on.push(oneLan);
  on.lines.length = 0;
  for (let round = 0; round < 5; round++) await on.push(threeLans);
  await on.push({ ...third, versionHash: "0".repeat(64) });
  assert.equal(on.lines.length, 4);
  assert.match(on.lines[3]!, /^version hash mismatch: .* {"subject":"api","refusals":1}$/);
});

refusing.test("TopologyService logs few of many refusals that all differ", async (on) => {
  for (let round = 0; round < 500; round++) {
    await on.push({ ...oneLan, versionHash: `${round}`.padStart(64, "0") });
  }
  assert.ok(on.lines.length >= 16 && on.lines.length < 32, String(on.lines.length));
});

superseding.test("TopologyService logs a failure that the store does not record", async (on) => {
  await on.push(oneLan);
  on.host.engine.images.delete("decnet/smb");
  await on.push(threeLans);
  assert.match(on.lines[1]!, /^missing images: decnet\/smb:latest /);
  // This one is recorded, and the loop logs it.
  on.host.engine.images.delete("decnet/ssh");
  on.host.engine.containers = [];
  await on.push(oneLan);
  assert.equal(on.lines.length, 2);
});

refusing.test("TopologyService requests a check after a refused apply, too", async (on) => {
  const { service, wakeup } = on;
  const applied = service.apply({ topology: "nonsense" }, "0".repeat(64), client);
  assert.deepEqual([service.isBusy, wakeup.take("check")], [true, false]);
  await assert.rejects(applied);
  const taken = [wakeup.take("send"), wakeup.take("check")];
  assert.deepEqual([service.isBusy, ...taken], [false, false, true]);
});

/** A host whose agent is called over TLS. */
class CalledHost implements AsyncDisposable {
  readonly log: string[] = [];
  readonly wakeup = new Wakeup();
  readonly stop = new AbortController();
  readonly service: TopologyService;
  readonly #agent: Agent;
  #api: ApiSetup | null = null;

  private constructor(readonly host: ApplyHost) {
    const { storePath, engine, folder } = host;
    const sockets = [engine.socketPath];
    const fallback = new FallbackStore(storePath);
    const agent = this.#agent = new Agent({
      agentVersion: "1.2.3",
      hostUuid: null,
      master: null,
      agentDirectory: folder.path,
      storePath,
      sockets,
      networkPrefixes: ["decnet_t_"],
      containerPrefixes: ["decnet_t_"],
      planOptions: standInOptions,
    });
    this.service = new TopologyService({
      agent,
      applier: host.applier({ fallback }),
      wakeup: this.wakeup,
      log: (level, message, fields = {}) => {
        const line = [level, message, ...Object.values(fields)].join(" ");
        if (level !== "debug") this.log.push(line);
      },
      signal: this.stop.signal,
    });
  }

  static async open(): Promise<CalledHost> {
    const called = new CalledHost(await ApplyHost.open());
    called.#api = await ApiSetup.start({}, called.service);
    return called;
  }

  get api(): ApiSetup {
    return this.#api!;
  }

  async apply(validated: typeof oneLan): Promise<number> {
    const { document, expectedHash } = requestOf(validated);
    const body = `{"hydrated":${writeJson(document)},"version_hash":"${expectedHash}"}`;
    return (await this.api.post("/topology/apply", body)).status;
  }

  async selfDestruct(): Promise<void> {
    const { status, body } = await this.api.post("/self-destruct", "");
    assert.deepEqual([status, body], [200, scheduled]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#api?.stop();
    await this.service.settled();
    this.#agent.close();
    await this.host[Symbol.asyncDispose]();
  }
}

const onTls = {
  test: (title: string, run: (called: CalledHost) => Promise<void>) =>
    Deno.test(title, async () => {
      await using called = await CalledHost.open();
      await run(called);
    }),
};
const { topologyId } = oneLan.plan;

onTls.test("POST /self-destruct answers, then tears down what is stored", async (called) => {
  const { host, service, wakeup, log } = called;
  assert.equal(await called.apply(oneLan), 200);
  wakeup.take("send");
  log.length = 0;
  host.engine.latencyMs = 300;
  await called.selfDestruct();
  // It has its answer before anything is gone.
  assert.deepEqual([host.row()?.topologyId, service.isBusy], [topologyId, true]);
  host.engine.latencyMs = 0;
  await service.settled();
  host.assertNothingLeft();
  assert.deepEqual(log, [`info topology torn down by self-destruct ${topologyId} 3`]);
  assert.deepEqual([wakeup.take("send"), wakeup.take("check")], [true, true]);
  // The agent stays, and takes a topology again.
  assert.equal(await called.apply(threeLans), 200);
  await host.assertApplied(threeLans);
});

onTls.test("POST /self-destruct with nothing applied changes nothing", async (called) => {
  const { host, service, wakeup, log } = called;
  for (let times = 0; times < 2; times++) {
    await called.selfDestruct();
    await service.settled();
  }
  host.assertNothingLeft();
  assert.deepEqual(host.changes(), []);
  assert.deepEqual([log, wakeup.take("send")], [[], false]);
});

onTls.test("POST /self-destruct removes a marker row and what it left", async (called) => {
  const { host, service } = called;
  const path = `/containers/create`;
  host.engine.fault = { kind: "status", status: 500, message: "no space left", path };
  assert.equal(await called.apply(oneLan), 500);
  host.engine.fault = undefined;
  assert.deepEqual([host.row()?.versionHash, host.engine.networks.length], ["", 4]);
  await called.selfDestruct();
  await service.settled();
  host.assertNothingLeft();
});

onTls.test("POST /self-destruct records and logs its failure", async (called) => {
  const { host, service, wakeup, log } = called;
  assert.equal(await called.apply(oneLan), 200);
  const { document, versionHash } = host.row()!;
  wakeup.take("send");
  log.length = 0;
  host.engine.fault = { kind: "status", method: "DELETE", status: 500, message: "device is busy" };
  await called.selfDestruct();
  await service.settled();
  const row = host.row()!;
  assert.deepEqual([row.document, row.versionHash], [document, versionHash]);
  assert.match(row.lastError!, /device is busy/);
  assert.deepEqual(log, [`error ${row.lastError} self-destruct`]);
  assert.equal(wakeup.take("send"), true);
  host.engine.fault = undefined;
  await called.selfDestruct();
  await service.settled();
  host.assertNothingLeft();
});

onTls.test("POST /self-destruct keeps its turn between two applies", async (called) => {
  const { host, service } = called;
  host.engine.latencyMs = 50;
  const first = called.apply(oneLan);
  await until(() => host.engine.requestCount > 0);
  // It is answered while the apply runs, and neither cuts it short nor comes after the next one.
  await called.selfDestruct();
  await called.selfDestruct();
  assert.equal(host.row()?.versionHash ?? "", "");
  const second = called.apply(threeLans);
  assert.deepEqual([await first, await second], [200, 200]);
  await service.settled();
  await host.assertApplied(threeLans);
  assert.ok(!host.engine.containers.some(({ Names: [name] }) => name!.includes("11111111")));
});

onTls.test("C6 POST /self-destruct goes on when its client has gone", async (called) => {
  const { host, service, api } = called;
  assert.equal(await called.apply(oneLan), 200);
  host.engine.latencyMs = 50;
  for (const isAnswerRead of [true, false]) {
    const client = await api.talk();
    client.send("POST /self-destruct HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
    if (isAnswerRead) await client.receive(JSON.stringify(scheduled));
    else await until(() => service.isBusy);
    client[Symbol.dispose]();
    await service.settled();
    host.engine.latencyMs = 0;
    host.assertNothingLeft();
    assert.equal(await called.apply(oneLan), 200);
    host.engine.latencyMs = 50;
  }
});

onTls.test("C6 POST /self-destruct records that the agent was stopped", async (called) => {
  const { host, service, stop, log } = called;
  assert.equal(await called.apply(oneLan), 200);
  host.engine.fault = { kind: "hang", method: "DELETE" };
  await called.selfDestruct();
  await until(() => host.engine.changes.some(({ method }) => method === "DELETE"));
  stop.abort();
  await service.settled();
  const { lastError } = host.row()!;
  assert.match(lastError!, /interrupted by a signal; apply it again or tear it down/);
  assert.equal(log.at(-1), `error ${lastError} self-destruct`);
  // What comes now cannot be scheduled any more.
  const { status, body } = await called.api.post("/self-destruct", "");
  assert.deepEqual([status, body], [500, { detail: "the agent is stopping" }]);
});

onTls.test("POST /self-destruct says in the log when it never had its turn", async (called) => {
  const { host, service, stop, log } = called;
  host.engine.fault = { kind: "hang", path: "/networks" };
  const applied = called.apply(oneLan);
  await until(() => host.engine.requestCount > 0);
  await called.selfDestruct();
  stop.abort();
  assert.equal(await applied, 500);
  await service.settled();
  const text = "stopped while waiting for another apply or teardown";
  assert.equal(log.at(-1), `error ${text} self-destruct`);
});

onTls.test("TopologyService.settled() waits for a later self-destruct", async (called) => {
  const { host, service } = called;
  host.engine.latencyMs = 50;
  const applied = called.apply(oneLan);
  await until(() => host.engine.requestCount > 0);
  // As when the configuration is reloaded during an apply.
  const settled = service.settled();
  await called.selfDestruct();
  await settled;
  assert.equal(await applied, 200);
  assert.equal(service.isBusy, false);
  host.assertNothingLeft();
});

onTls.test("C7 TopologyService.settled() waits for calls that wait", async (called) => {
  const { host, service, stop, api } = called;
  host.engine.latencyMs = 50;
  const applied = called.apply(oneLan);
  await until(() => host.engine.requestCount > 0);
  // A master sends a teardown once.
  const tornDown = api.post("/topology/teardown", { topology_id: topologyId });
  await new Promise((resolve) => setTimeout(resolve, 100));
  // As when the configuration is reloaded.
  await service.settled();
  stop.abort();
  assert.deepEqual([await applied, (await tornDown).status], [200, 200]);
  host.assertNothingLeft();
});

onTls.test("TopologyService keeps one self-destruct of many in a row", async (called) => {
  const { host, service } = called;
  assert.equal(await called.apply(oneLan), 200);
  const { queue } = service;
  const leave = await queue.enter(never);
  service.scheduleSelfDestruct();
  const { last } = queue;
  for (let times = 0; times < 1_000; times++) service.scheduleSelfDestruct();
  assert.equal(queue.last, last);
  leave();
  await service.settled();
  host.assertNothingLeft();
  // One that comes later is not covered by it.
  service.scheduleSelfDestruct();
  assert.notEqual(queue.last, last);
  await service.settled();
});

onTls.test("Applier.teardownStored() says that it cannot read the store", async (called) => {
  const { host, service, log } = called;
  TopologyStore.open(host.storePath).close();
  Deno.removeSync(host.storePath);
  Deno.mkdirSync(host.storePath);
  await called.selfDestruct();
  await service.settled();
  assert.match(log.at(-1)!, /^error Cannot use the store \S+topology\.db: .* self-destruct$/);
});
