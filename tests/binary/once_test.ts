import assert from "node:assert/strict";
import { keyNames } from "../../cli/keys.ts";
import { TopologyStore } from "../../store/mod.ts";
import { container, listenWithoutAccepting, network } from "../engine/mod.ts";
import { execute, Host } from "./host.ts";

const document = await Deno.readTextFile(
  new URL("../data/topology-one-lan.json", import.meta.url),
);
const topologyId = "11111111-2222-3333-4444-555555555555";
const networkName = "decnet_t_11111111_lan-00";
const baseName = "decnet_t_11111111_decky-001";
const lan = network({ name: networkName, subnet: "10.0.0.0/24" });
const base = container({ name: baseName, addresses: { [networkName]: "10.0.0.2" } });
const service = container({ name: `${baseName}-ssh`, networkMode: `container:${baseName}` });

function storeDocument(host: Host, lastError?: string): void {
  const store = TopologyStore.open(host.storePath);
  store.put(topologyId, "fa61", document);
  if (lastError) store.recordError(topologyId, lastError);
  store.close();
}

Deno.test("decnet-agent --version names the agent, Deno and SQLite", async () => {
  const { code, stdout } = await execute(["--version"]);
  assert.equal(code, 0);
  assert.match(stdout, /^decnet-agent \d+\.\d+\.\d+ \(Deno 2\.9\.4, SQLite 3\.\d+\.\d+\)\n$/);
});

Deno.test("decnet-agent --help lists every command and flag", async () => {
  const { code, stdout } = await execute(["--help"]);
  assert.equal(code, 0);
  const commands = ["--once", "state", "hash", "--json", "--dry-run", "--config", "--version"];
  for (const word of [...commands, ...keyNames.map((name) => `  --${name} `)]) {
    assert.ok(stdout.includes(word), word);
  }
});

Deno.test("decnet-agent hash reads a document from a file", async () => {
  const file = new URL("../data/topology-three-lans.json", import.meta.url).pathname;
  const { code, stdout } = await execute(["hash", file]);
  assert.equal(code, 0);
  assert.equal(
    stdout.trim(),
    "88dc64f63e2971faecae57a63d466d72f83e34d4756b90d466a5fd70abf8ea50",
  );
});

Deno.test("decnet-agent --once exits 0 when Docker runs what was applied", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  engine.networks = [lan];
  engine.containers = [base, service];
  storeDocument(host);
  const { code, stdout, stderr } = await execute(["--once", ...host.flags()]);
  assert.equal(code, 0, stdout);
  assert.match(
    stdout,
    /^DECNET OK - topology 11111111-2222-.* at fa61, 1 network and 2 containers run, no master configured \| networks=1 containers=2 drift=0 docker=0\.\d{3}s\n$/,
  );
  assert.equal(stderr, "");
});

Deno.test("decnet-agent --once exits 0 after a beat that the master accepted", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  engine.networks = [lan];
  engine.containers = [base, service];
  storeDocument(host);
  const { master } = await host.startMaster();
  const { code, stdout } = await execute(["--once", "--json", ...host.flags(master)]);
  assert.equal(code, 0, stdout);
  const result = JSON.parse(stdout);
  assert.equal(result.master.result, "delivered");
  assert.equal(result.master.http_status, 204);
  assert.deepEqual(master.beats[0]?.body, {
    host_uuid: "11111111-aaaa-4bbb-8ccc-222222222222",
    agent_version: result.agent_version,
    status: { deployed: false, deckies: [] },
    store: { state: "ok" },
    topology: result.topology,
  });
  assert.deepEqual(result.topology.observed, {
    bridges: [networkName],
    containers: [baseName, `${baseName}-ssh`],
  });
});

Deno.test("decnet-agent --once --dry-run sends no beat", async () => {
  await using host = await Host.create();
  await host.startEngine();
  const { master } = await host.startMaster();
  const { code, stdout } = await execute(["--once", "--dry-run", ...host.flags(master)]);
  assert.equal(code, 0, stdout);
  assert.equal(master.beatCount, 0);
});

Deno.test("decnet-agent --once exits 1 on drift and names what drifted", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  engine.networks = [lan];
  engine.containers = [base];
  storeDocument(host);
  const { code, stdout } = await execute(["--once", ...host.flags()]);
  assert.equal(code, 1, stdout);
  assert.match(stdout, /^DECNET WARNING - missing decnet_t_11111111_decky-001-ssh \| .*drift=1/);
});

Deno.test("decnet-agent --once exits 1 on a recorded error", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  engine.networks = [lan];
  engine.containers = [base, service];
  storeDocument(host, "no such image");
  const { code, stdout } = await execute(["--once", ...host.flags()]);
  assert.equal(code, 1, stdout);
  assert.match(stdout, /the last apply or teardown failed: no such image/);
});

Deno.test("decnet-agent --once exits 2 when the engine is gone, and the beat still goes out", async () => {
  await using host = await Host.create();
  const { master } = await host.startMaster();
  const { code, stdout } = await execute(["--once", "--json", ...host.flags(master)]);
  assert.equal(code, 2, stdout);
  assert.match(JSON.parse(stdout).topology.observed.error, /no such socket/);
  const { topology } = master.beats[0]!.body as { topology: unknown };
  assert.deepEqual(topology, JSON.parse(stdout).topology);
});

Deno.test("decnet-agent --once exits 2 within 10 s when the engine hangs", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  engine.fault = { kind: "hang" };
  const { master } = await host.startMaster();
  const { code, stdout, elapsedMs } = await execute(["--once", "--json", ...host.flags(master)]);
  assert.equal(code, 2, stdout);
  assert.ok(elapsedMs < 10_000, `${elapsedMs} ms`);
  assert.match(JSON.parse(stdout).topology.observed.error, /no answer within 5 s/);
  assert.equal(master.beatCount, 1);
});

Deno.test("decnet-agent --once exits 2 within 10 s when nothing of the engine answers", async () => {
  await using host = await Host.create();
  using _silent = listenWithoutAccepting(host.socket);
  const { master } = await host.startMaster();
  master.answer = { kind: "hang" };
  const { code, elapsedMs, stdout } = await execute(["--once", ...host.flags(master)]);
  assert.equal(code, 2, stdout);
  assert.ok(elapsedMs < 10_000, `${elapsedMs} ms`);
});

Deno.test("decnet-agent --once exits 2 when the master refuses or is absent", async () => {
  await using host = await Host.create();
  await host.startEngine();
  const { master } = await host.startMaster();
  master.answer = { status: 403 };
  const check = ["--once", ...host.flags(master)];
  const refused = await execute(check);
  assert.equal(refused.code, 2, refused.stdout);
  assert.match(refused.stdout, /the master answered 403/);
  await master.stop();
  const absent = await execute(check);
  assert.equal(absent.code, 2, absent.stdout);
  assert.match(absent.stdout, /nobody listens there/);
});

Deno.test("decnet-agent --once exits 3 without certificates", async () => {
  await using host = await Host.create();
  await host.startEngine();
  const { master } = await host.startMaster();
  await Deno.remove(`${host.agentDirectory}/worker.key`);
  const { code, stdout } = await execute(["--once", ...host.flags(master)]);
  assert.equal(code, 3, stdout);
  assert.match(stdout, /^DECNET UNKNOWN - .*worker\.key: no such file/);
});

Deno.test("decnet-agent --once exits 3 on a store that is no database", async () => {
  await using host = await Host.create();
  await host.startEngine();
  await Deno.mkdir(host.stateDirectory);
  await Deno.writeTextFile(host.storePath, "no database ".repeat(1000));
  const { code, stdout } = await execute(["--once", "--json", ...host.flags()]);
  assert.equal(code, 3, stdout);
  const result = JSON.parse(stdout);
  assert.equal(result.topology, null);
  assert.equal(result.drift, null);
  assert.match(result.store.detail, /not a database/);
});

Deno.test("decnet-agent --once exits 3 on a wrong value and says what is allowed", async () => {
  const { code, stdout } = await execute(["--once"], { env: { DECNET_INTERVAL: "2s" } });
  assert.equal(code, 3);
  assert.match(
    stdout,
    /^DECNET UNKNOWN - interval: '2s' \(from \$DECNET_INTERVAL\) must be a time/,
  );
});

Deno.test("decnet-agent --once creates no store", async () => {
  await using host = await Host.create();
  await host.startEngine();
  assert.equal((await execute(["--once", ...host.flags()])).code, 0);
  await assert.rejects(Deno.stat(host.stateDirectory), Deno.errors.NotFound);
});
