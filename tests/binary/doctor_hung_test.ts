import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { TopologyStore } from "../../store/mod.ts";
import { listenPlainTcp } from "../tls_master.ts";
import { makeFifo, mkfifo } from "./fifo.ts";
import { execute, Host } from "./host.ts";
import { requirement } from "../requirements.ts";
import { works } from "./works.ts";

const namespaces = requirement(
  "unshare and the right to mount",
  await works("unshare", "--mount", "true"),
);

/** From start to end, whatever hangs. */
const longestMs = 15_000;

Deno.test("decnet-agent doctor ends in time when engine, store and master hang", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  engine.fault = { kind: "hang" };
  const { master } = await host.startMaster();
  using store = TopologyStore.open(host.storePath);
  store.put("A", "h1", "{}");
  using other = new DatabaseSync(host.storePath);
  other.exec("BEGIN EXCLUSIVE");
  using silent = listenPlainTcp();
  const flags = host.flags(master).map((flag) =>
    flag.startsWith("--swarmctl-port=") ? `--swarmctl-port=${silent.port}` : flag
  );
  const ended = await execute(["doctor", "--json", ...flags, `--listen=127.0.0.1:${silent.port}`]);
  assert.ok(ended.elapsedMs < longestMs, `${ended.elapsedMs} ms`);
  assert.equal(ended.code, 3, ended.stdout);
  const { checks } = JSON.parse(ended.stdout) as { checks: { name: string; saw: string }[] };
  const saw = (name: string) => checks.find((check) => check.name === name)?.saw ?? "";
  assert.match(saw("engine"), /no answer within 5 s/);
  assert.match(saw("store"), /database is locked/);
  assert.match(saw("master-tls"), /no answer within 3 s/);
  assert.match(saw("api"), /another program listens there/);
  assert.equal(checks.length, 20);
});

Deno.test({
  name: `decnet-agent doctor ends in time with named pipes in place of files${mkfifo.suffix}`,
  ignore: mkfifo.ignore,
  fn: async () => {
    mkfifo.check();
    await using host = await Host.create();
    await host.startEngine();
    const { master } = await host.startMaster();
    await Deno.remove(`${host.agentDirectory}/worker.key`);
    await makeFifo(`${host.agentDirectory}/worker.key`);
    await Deno.mkdir(host.stateDirectory);
    for (const name of ["topology.db", "agent.lock", "apply.lock"]) {
      await makeFifo(`${host.stateDirectory}/${name}`);
    }
    const wrapper = ["timeout", "-s", "KILL", "30"];
    const ended = await execute(["doctor", ...host.flags(master)], { wrapper });
    assert.ok(ended.elapsedMs < longestMs, `${ended.elapsedMs} ms`);
    assert.equal(ended.code, 3, ended.stdout);
    assert.match(ended.stdout, /^store +failed +Cannot read the store .*not a regular file/m);
    assert.match(
      ended.stdout,
      /^certificates +failed +Cannot use .*worker\.key: not a regular file/m,
    );
  },
});

Deno.test({
  name: `decnet-agent doctor ends in time when the name server is silent${namespaces.suffix}`,
  ignore: namespaces.ignore,
  fn: async () => {
    namespaces.check();
    await using host = await Host.create();
    await host.startEngine();
    const { master } = await host.startMaster();
    const address = { hostname: "127.13.7.54", port: 53, transport: "udp" } as const;
    using silent = new DisposableStack();
    silent.adopt(Deno.listenDatagram(address), (socket) => socket.close());
    const resolver = `${host.folder}/resolv.conf`;
    await Deno.writeTextFile(resolver, `nameserver ${address.hostname}\noptions timeout:30\n`);
    const mount = `mount --bind ${resolver} /etc/resolv.conf && exec "$0" "$@"`;
    const ended = await execute(
      ["doctor", ...host.flags(master), "--master-host=master.example"],
      { wrapper: ["unshare", "--mount", "sh", "-c", mount] },
    );
    assert.ok(ended.elapsedMs < longestMs, `${ended.elapsedMs} ms`);
    assert.equal(ended.code, 2, ended.stdout + ended.stderr);
    const said =
      /^master-name +failed +master\.example: the name servers have not answered within 3 s\n/m;
    assert.match(ended.stdout, said);
    assert.match(ended.stdout, /→ echo 'ADDRESS master\.example' >> \/etc\/hosts/);
  },
});
