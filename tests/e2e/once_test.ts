// deno-lint-ignore-file no-control-regex

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { keyNames } from "../../cli/options.ts";
import { TopologyStore } from "../../store/topology_store.ts";
import { textOf } from "../support/apply_host.ts";
import { listenWithoutAccepting } from "../support/engine/fake_engine.ts";
import { container, network } from "../support/engine/state.ts";
import {
  binary,
  type Ended,
  execute,
  Host,
  ListeningHost,
  RunningAgent,
} from "../support/executable.ts";
import { makeFifo, mkfifo, promtool, requirement } from "../support/requirements.ts";
import manifest from "../../deno.json" with { type: "json" };

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
  assert.deepEqual(master.heartbeats[0]?.body, {
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
  assert.equal(master.heartbeatCount, 0);
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
  const { topology } = master.heartbeats[0]!.body as { topology: unknown };
  assert.deepEqual(topology, JSON.parse(stdout).topology);
});

Deno.test("D1 --once exits with 2 within 10 s when the engine hangs", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  engine.fault = { kind: "hang" };
  const { master } = await host.startMaster();
  const { code, stdout, elapsedMs } = await execute(["--once", "--json", ...host.flags(master)]);
  assert.equal(code, 2, stdout);
  assert.ok(elapsedMs < 10_000, `${elapsedMs} ms`);
  assert.match(JSON.parse(stdout).topology.observed.error, /no answer within 5 s/);
  assert.equal(master.heartbeatCount, 1);
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

Deno.test("M19 --once exits with 3 without certificates", async () => {
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

const interval = "--interval=5s";

/** Runs the executable with one of its streams on a device that is always full. */
function full(stream: "1" | "2"): readonly string[] {
  return ["sh", "-c", `exec "$0" "$@" ${stream}>/dev/full`];
}

Deno.test("decnet-agent beats on when nobody can take its log", async () => {
  await using host = await Host.create();
  await host.startEngine();
  const { master } = await host.startMaster();
  await using agent = new RunningAgent([interval, ...host.flags(master)], { wrapper: full("2") });
  await agent.until(() => master.heartbeatCount >= 2);
  const { code, ms } = await agent.stop();
  assert.equal(code, 0);
  assert.ok(ms < 2_000, `${ms} ms`);
});

Deno.test("decnet-agent without a master lives on when nobody can take its beats", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  await using agent = new RunningAgent([interval, ...host.flags()], { wrapper: full("1") });
  // Three lists a beat: the second beat comes after the first could not be printed.
  await agent.until(() => engine.requestCount >= 6);
  const { stderr } = await agent.stop();
  assert.deepEqual(stderr.match(/msg=\S+/g), ["msg=started", "msg=stopped"], stderr);
});

Deno.test("decnet-agent --once exits 3 when its output is lost", async () => {
  await using host = await Host.create();
  await host.startEngine();
  for (const format of [[], ["--json"]]) {
    const args = ["--once", ...format, ...host.flags()];
    const { code, stderr } = await execute(args, { wrapper: full("1") });
    assert.equal(code, 3, stderr);
    assert.equal(stderr, "");
  }
});

Deno.test({
  name: `decnet-agent --once exits as ever when its reader has gone${mkfifo.suffix}`,
  ignore: mkfifo.ignore,
  fn: async () => {
    mkfifo.check();
    await using host = await Host.create();
    const fifo = `${host.socket}.fifo`;
    await makeFifo(fifo);
    // By 3 the pipe has a reader for as long as 4 needs to open it.
    const wrapper = ["sh", "-c", `exec 3<>${fifo} 4>${fifo} 3<&-; exec "$0" "$@" >&4 4>&-`];
    const absent = await execute(["--once", ...host.flags()], { wrapper });
    assert.deepEqual([absent.code, absent.stderr], [2, ""]);
    await host.startEngine();
    const present = await execute(["--once", ...host.flags()], { wrapper });
    assert.deepEqual([present.code, present.stderr], [0, ""]);
  },
});

/** Keeps an agent that reads for ever from hanging the test and from eating the machine's memory. */
const wrapper = ["sh", "-c", 'ulimit -d 2097152; exec timeout -s KILL 20 "$0" "$@"'];
const intervalStuckInput = "--interval=5s";

/** Asserts that a run ended in time with code 3 and said why. */
function assertRefused({ code, stdout, stderr, elapsedMs }: Ended, reason: RegExp): void {
  assert.equal(code, 3, stdout + stderr);
  assert.match(stdout + stderr, reason);
  assert.ok(elapsedMs < 10_000, `${elapsedMs} ms`);
}

/** Replaces the host's key by a named pipe. */
async function breakKey(host: Host): Promise<void> {
  await Deno.remove(`${host.agentDirectory}/worker.key`);
  await makeFifo(`${host.agentDirectory}/worker.key`);
}

/** A connection that keeps every other one from reading the host's store. */
function lockStore(host: Host): DatabaseSync {
  using store = TopologyStore.open(host.storePath);
  store.put("A", "h1", "{}");
  const database = new DatabaseSync(host.storePath);
  database.exec("BEGIN EXCLUSIVE");
  return database;
}

Deno.test({
  name: `decnet-agent --once refuses a named pipe as its store${mkfifo.suffix}`,
  ignore: mkfifo.ignore,
  fn: async () => {
    mkfifo.check();
    await using host = await Host.create();
    await host.startEngine();
    await Deno.mkdir(host.stateDirectory);
    await makeFifo(host.storePath);
    const ended = await execute(["--once", ...host.flags()], { wrapper });
    assertRefused(ended, /topology\.db: .*not a regular file/);
  },
});

Deno.test({
  name: `decnet-agent --once refuses a named pipe as worker.key${mkfifo.suffix}`,
  ignore: mkfifo.ignore,
  fn: async () => {
    mkfifo.check();
    await using host = await Host.create();
    await host.startEngine();
    const { master } = await host.startMaster();
    await breakKey(host);
    const ended = await execute(["--once", ...host.flags(master)], { wrapper });
    assertRefused(ended, /worker\.key: not a regular file/);
  },
});

Deno.test({
  name: `decnet-agent --once refuses a named pipe as its configuration${mkfifo.suffix}`,
  ignore: mkfifo.ignore,
  fn: async () => {
    mkfifo.check();
    await using host = await Host.create();
    const path = `${host.socket}.ini`;
    await makeFifo(path);
    const ended = await execute(["--once", "--config", path, ...host.flags()], { wrapper });
    assertRefused(ended, /docker\.sock\.ini: it is not a regular file/);
  },
});

Deno.test({
  name: `decnet-agent stops within 2 s with a named pipe as worker.key${mkfifo.suffix}`,
  ignore: mkfifo.ignore,
  fn: async () => {
    mkfifo.check();
    await using host = await Host.create();
    const engine = await host.startEngine();
    const { master } = await host.startMaster();
    await breakKey(host);
    await using agent = new RunningAgent([intervalStuckInput, ...host.flags(master)]);
    await agent.until(() => agent.stderr.includes("not a regular file"));
    assert.ok(engine.requestCount > 0);
    const { code, ms } = await agent.stop();
    assert.equal(code, 0);
    assert.ok(ms < 2_000, `${ms} ms`);
  },
});

Deno.test("decnet-agent hash refuses a device that never ends", async () => {
  const ended = await execute(["hash", "/dev/zero"], { wrapper });
  assertRefused(ended, /\/dev\/zero: it is larger than 64 MiB/);
});

Deno.test("decnet-agent --once refuses a device as its configuration", async () => {
  const ended = await execute(["--once", "--config", "/dev/zero"], { wrapper });
  assertRefused(ended, /\/dev\/zero: it is not a regular file/);
});

Deno.test("S7 --once sends within 10 s when the store is locked and Docker hangs", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  engine.fault = { kind: "hang" };
  const { master } = await host.startMaster();
  const lock = lockStore(host);
  try {
    const ended = await execute(["--once", ...host.flags(master)], { wrapper });
    assertRefused(ended, /database is locked/);
    assert.equal(master.heartbeatCount, 1, ended.stdout);
  } finally {
    lock.close();
  }
});

Deno.test("S7 decnet-agent stops within 2 s while the store is locked", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  const lock = lockStore(host);
  try {
    await using agent = new RunningAgent([intervalStuckInput, ...host.flags()]);
    // It asks the engine, opens the store, and waits.
    await agent.until(() => agent.openFiles().includes(host.storePath));
    const { code, ms, stdout } = await agent.stop();
    assert.deepEqual([code, stdout], [0, ""]);
    assert.equal(engine.requestCount, 3);
    assert.ok(ms < 2_000, `${ms} ms`);
  } finally {
    lock.close();
  }
});

function isThere(program: string): boolean {
  try {
    return new Deno.Command(program, { args: ["--version"], stdout: "null" }).outputSync().success;
  } catch {
    return false;
  }
}

const script = requirement("script, which makes terminals", isThere("script"));

/** What the executable prints on a terminal of so many columns. */
async function printedOnTerminal(
  args: readonly string[],
  { columns, env }: { columns: number; env: Record<string, string> },
): Promise<string> {
  const command = `stty cols ${columns}; exec ${binary} ${args.join(" ")}`;
  const { stdout } = await new Deno.Command("script", {
    args: ["-qec", command, "/dev/null"],
    env: { PATH: Deno.env.get("PATH") ?? "", HOME: "/nonexistent", SHELL: "/bin/sh", ...env },
    clearEnv: true,
    stdin: "null",
  }).output();
  return new TextDecoder().decode(stdout).replaceAll("\r\n", "\n");
}

Deno.test({
  name: `decnet-agent state draws a tree on a terminal, as wide as that is${script.suffix}`,
  ignore: script.ignore,
  fn: async () => {
    script.check();
    await using host = await Host.create();
    await host.startEngine();
    await Deno.mkdir(host.stateDirectory);
    const document = textOf("topology-three-lans.json");
    const { topology, deckies } = JSON.parse(document);
    {
      using store = TopologyStore.open(host.storePath);
      store.put(topology.id, "h", document);
    }
    const args = ["state", ...host.flags()];
    const piped = await execute(args);
    assert.equal(piped.code, 1);
    assert.match(piped.stdout, /^topology {6}\S+\nhash/);
    assert.doesNotMatch(piped.stdout, /[├└│]|\x1b/);
    const drawn = await printedOnTerminal(args, { columns: 50, env: { TERM: "xterm" } });
    assert.match(drawn, /\x1b\[31mmissing\x1b\[0m/);
    const plain = drawn.replaceAll(/\x1b\[\d+m/g, "");
    for (const line of plain.split("\n")) assert.ok(line.length <= 50, line);
    for (const { name } of deckies) assert.ok(plain.includes(`─ ${name} `), plain);
    for (const env of [{ TERM: "dumb" }, { TERM: "xterm", NO_COLOR: "1" }]) {
      assert.equal(await printedOnTerminal(args, { columns: 50, env }), plain);
    }
  },
});

Deno.test({
  name: `decnet-agent --once --textfile writes metrics that Prometheus reads${promtool.suffix}`,
  ignore: promtool.ignore,
  fn: async () => {
    promtool.check();
    await using host = await Host.create();
    await host.startEngine();
    const { master } = await host.startMaster();
    const path = `${host.folder}/decnet.prom`;
    // The unit has this umask.
    const wrapper = ["sh", "-c", 'umask 077; exec "$0" "$@"'];
    const args = ["--once", "--quiet", ...host.flags(master)];
    const ended = await execute(args, { env: { DECNET_TEXTFILE: path }, wrapper });
    assert.deepEqual([ended.code, ended.stdout, ended.stderr], [0, "", ""]);
    assert.equal(Deno.statSync(path).mode! & 0o777, 0o644);
    const text = Deno.readTextFileSync(path);
    assert.match(text, /^decnet_agent_status_code 0$/m);
    await promtool.run(["check", "metrics"], text);
  },
});

Deno.test("decnet-agent writes metrics after each beat, and whether the API listens", async () => {
  await using listening = await ListeningHost.create();
  const { host, master } = listening;
  await host.startEngine();
  const path = `${host.folder}/decnet.prom`;
  await using agent = new RunningAgent([...listening.flags, `--textfile=${path}`]);
  const has = (line: string) => {
    try {
      return Deno.readTextFileSync(path).split("\n").includes(`decnet_agent_${line}`);
    } catch (error) {
      // It is not there before the first beat; later it is never absent for a moment.
      assert.ok(error instanceof Deno.errors.NotFound && master.heartbeatCount <= 1);
      return false;
    }
  };
  await agent.until(() => has('beats_total{result="delivered"} 2'));
  assert.ok(has("api_listening 1") && has("status_code 0"));
  const names = [...Deno.readDirSync(host.folder)].map(({ name }) => name);
  assert.deepEqual(names.filter((name) => name.includes(".prom")), ["decnet.prom"]);
  const { stderr } = await agent.stop();
  assert.deepEqual(stderr.match(/msg=\S+/g), ["msg=started", "msg=listening", "msg=stopped"]);
});

Deno.test("decnet-agent writes metrics elsewhere, and goes on counting, after a SIGHUP", async () => {
  await using host = await Host.create();
  await host.startEngine();
  const ini = `${host.folder}/decnet.ini`;
  const tell = (textfile: string) =>
    Deno.writeTextFileSync(ini, `[agent]\ninterval = 5s\ntextfile = ${host.folder}/${textfile}\n`);
  const heartbeatsIn = (textfile: string) => {
    try {
      const text = Deno.readTextFileSync(`${host.folder}/${textfile}`);
      return Number(/^decnet_agent_beats_total\{result="not_configured"\} (\d+)$/m.exec(text)![1]);
    } catch (error) {
      assert.ok(error instanceof Deno.errors.NotFound);
      return 0;
    }
  };
  tell("a.prom");
  await using agent = new RunningAgent(["--config", ini, ...host.flags()]);
  await agent.until(() => heartbeatsIn("a.prom") > 0);
  tell("b.prom");
  agent.signal("SIGHUP");
  await agent.until(() => heartbeatsIn("b.prom") > 0);
  assert.equal(heartbeatsIn("b.prom"), heartbeatsIn("a.prom") + 1);
});

Deno.test("decnet-agent shows its help and version also where a check was asked for", async () => {
  for (const args of [["--once", "--help"], ["-h", "--once"]]) {
    const { code, stdout } = await execute(args);
    assert.deepEqual([code, stdout.startsWith("decnet-agent --once: ")], [0, true], stdout);
  }
  const { code, stdout } = await execute(["--once", "--version"]);
  assert.equal(code, 0);
  assert.ok(stdout.startsWith(`decnet-agent ${manifest.version} (`), stdout);
});

Deno.test("decnet-agent refuses what does not go with --once as every command does", async () => {
  for (const args of [["--once", "state"], ["--once=yes"], ["--once", "--nonsense"]]) {
    const { code, stdout, stderr } = await execute(args);
    assert.equal(code, 3);
    assert.match(stdout, /^DECNET UNKNOWN - /);
    assert.match(stderr, /^decnet-agent: --/);
  }
});
