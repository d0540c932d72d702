// deno-lint-ignore-file no-control-regex

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { TopologyStore } from "../../store/topology_store.ts";
import { textOf } from "../support/apply_host.ts";
import { binary, execute, Host, ListeningHost, RunningAgent } from "../support/executable.ts";
import { makeFifo, mkfifo, requirement, works } from "../support/requirements.ts";
import manifest from "../../deno.json" with { type: "json" };

Deno.test("decnet-agent --version names the commit that it was built from", async () => {
  const { code, stdout, stderr } = await execute(["--version"]);
  assert.deepEqual([code, stderr], [0, ""]);
  const commit = String.raw`(?:unknown|[0-9a-f]{12}(?:\+changes)? of \d{4}-\d\d-\d\d)`;
  const versions = String.raw`\(commit ${commit}, Deno 2\.9\.4, SQLite 3\.\d+\.\d+\)`;
  assert.match(stdout, new RegExp(`^decnet-agent ${manifest.version} ${versions}\n$`));
});

const interval = "--interval=5s";

mkfifo.test("decnet-agent --once exits with its code when its reader has gone", async () => {
  await using host = await Host.create();
  const fifo = `${host.socket}.fifo`;
  await makeFifo(fifo);
  // Descriptor 3 reads the pipe until 4 is open.
  const wrapper = ["sh", "-c", `exec 3<>${fifo} 4>${fifo} 3<&-; exec "$0" "$@" >&4 4>&-`];
  const absent = await execute(["--once", ...host.flags()], { wrapper });
  assert.deepEqual([absent.code, absent.stderr], [2, ""]);
  await host.startEngine();
  const present = await execute(["--once", ...host.flags()], { wrapper });
  assert.deepEqual([present.code, present.stderr], [0, ""]);
});

/** Limits time and memory, in case that the agent never stops reading. */
const wrapper = ["sh", "-c", 'ulimit -d 2097152; exec timeout -s KILL 20 "$0" "$@"'];

/** Fills the store, and locks it against all other connections. */
function lockStore(host: Host): DatabaseSync {
  using store = TopologyStore.open(host.storePath);
  store.put("A", "h1", "{}");
  const database = new DatabaseSync(host.storePath);
  database.exec("BEGIN EXCLUSIVE");
  return database;
}

Deno.test("S7 --once sends within 10 s when the store is locked and Docker hangs", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  engine.fault = { kind: "hang" };
  const { master } = await host.startMaster();
  using _lock = lockStore(host);
  const { code, stdout, elapsedMs } = await execute(["--once", ...host.flags(master)], { wrapper });
  assert.equal(code, 3, stdout);
  assert.match(stdout, /database is locked/);
  assert.ok(elapsedMs < 10_000, `${elapsedMs} ms`);
  assert.equal(master.heartbeatCount, 1, stdout);
});

Deno.test("S7 decnet-agent stops within 2 s while the store is locked", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  using _lock = lockStore(host);
  await using agent = new RunningAgent([interval, ...host.flags()]);
  // It waits for the lock once the store is open, while the engine answers.
  const isOpen = () => agent.openFiles().includes(host.storePath);
  await agent.until(() => isOpen() && engine.requestCount === 3);
  assert.equal((await agent.stop()).stdout, "");
  assert.equal(engine.requestCount, 3);
});

const script = requirement("script", await works("script", "--version"));

script.test("decnet-agent state draws a tree on a terminal", async () => {
  await using host = await Host.create();
  await host.startEngine();
  await Deno.mkdir(host.stateDirectory);
  const document = textOf("topology-three-lans.json");
  const { topology, deckies } = JSON.parse(document);
  {
    using store = TopologyStore.open(host.storePath);
    store.put(topology.id, "h", document);
  }
  const { stdout } = await new Deno.Command("script", {
    args: ["-qec", `exec ${binary} state ${host.flags().join(" ")}`, "/dev/null"],
    env: { PATH: Deno.env.get("PATH") ?? "", SHELL: "/bin/sh", TERM: "xterm" },
    clearEnv: true,
    stdin: "null",
  }).output();
  const drawn = new TextDecoder().decode(stdout);
  assert.match(drawn, /\x1b\[31mmissing\x1b\[0m/);
  const plain = drawn.replaceAll(/\x1b\[\d+m/g, "");
  for (const { name } of deckies) assert.ok(plain.includes(`─ ${name} `), plain);
});

Deno.test("decnet-agent writes metrics, and keeps its counters at SIGHUP", async () => {
  await using listening = await ListeningHost.create();
  const { host, master } = listening;
  await host.startEngine();
  const ini = `${host.folder}/decnet.ini`;
  const setTextfile = (name: string) =>
    Deno.writeTextFileSync(ini, `[agent]\ntextfile = ${host.folder}/${name}\n`);
  const has = (name: string, line: string) => {
    try {
      const text = Deno.readTextFileSync(`${host.folder}/${name}`);
      return text.split("\n").includes(`decnet_agent_${line}`);
    } catch (error) {
      // The file appears with the first heartbeat, and then never disappears.
      assert.ok(error instanceof Deno.errors.NotFound);
      assert.ok(name !== "a.prom" || master.heartbeatCount <= 1);
      return false;
    }
  };
  setTextfile("a.prom");
  await using agent = new RunningAgent(["--config", ini, ...listening.flags]);
  await agent.until(() => has("a.prom", 'beats_total{result="delivered"} 2'));
  assert.ok(has("a.prom", "api_listening 1") && has("a.prom", "status_code 0"));
  const names = [...Deno.readDirSync(host.folder)].map(({ name }) => name);
  assert.deepEqual(names.filter((name) => name.includes(".prom")), ["a.prom"]);
  assert.deepEqual(agent.stderr.match(/msg=\S+/g), ["msg=started", "msg=listening"]);
  setTextfile("b.prom");
  agent.signal("SIGHUP");
  await agent.until(() => has("b.prom", 'beats_total{result="delivered"} 3'));
});

Deno.test("decnet-agent says that it may not use files of the system", async () => {
  await using host = await Host.create();
  await host.startEngine();
  const system = "the agent may not use files in /dev, /proc and /sys";
  const docker = `--docker-host=unix://${host.socket}`;
  const cases: [args: string[], says: string][] = [
    [
      ["hash", "/proc/version"],
      `Cannot read /proc/version: ${system}; pass it on standard input (-)`,
    ],
    [
      ["teardown", "x", docker, "--state-dir=/proc/state"],
      `Cannot lock /proc/state/apply.lock: ${system}; set state-dir to another folder`,
    ],
    [
      ["--once", "--docker-host=unix:///proc/docker.sock", "--state-dir=/tmp"],
      `Cannot observe Docker at /proc/docker.sock: ${system}; set docker-host to another socket`,
    ],
    [
      ["--once", docker, "--state-dir=/proc/state"],
      `Cannot read the store /proc/state/topology.db: ${system}; set state-dir to another folder`,
    ],
  ];
  for (const [args, says] of cases) {
    const { stdout, stderr } = await execute(args);
    assert.ok((stdout + stderr).includes(says), stdout + stderr);
    assert.doesNotMatch(stdout + stderr, /allow-all/);
  }
});
