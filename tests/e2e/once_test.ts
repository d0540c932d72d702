// deno-lint-ignore-file no-control-regex

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import type { HeartbeatBody } from "../../agent/heartbeat.ts";
import { keyNames } from "../../cli/options.ts";
import { TopologyStore } from "../../store/topology_store.ts";
import { textOf } from "../support/apply_host.ts";
import { type FakeEngine, listenWithoutAccepting } from "../support/engine/fake_engine.ts";
import { container, network } from "../support/engine/state.ts";
import { binary, execute, Host, ListeningHost, RunningAgent } from "../support/executable.ts";
import { makeFifo, mkfifo, promtool, requirement, works } from "../support/requirements.ts";
import type { TlsMaster } from "../support/tls_master.ts";
import manifest from "../../deno.json" with { type: "json" };

const document = await Deno.readTextFile(
  new URL("../data/topology-one-lan.json", import.meta.url),
);
const topologyId = "11111111-2222-3333-4444-555555555555";
const networkName = "decnet_t_11111111_lan-00";
const baseName = "decnet_t_11111111_decky-001";
const applied = {
  networks: [network({ name: networkName, subnet: "10.0.0.0/24" })],
  containers: [
    container({
      name: baseName,
      image: "debian:bookworm-slim",
      addresses: { [networkName]: "10.0.0.2" },
    }),
    container({
      name: `${baseName}-ssh`,
      image: "decnet/ssh:latest",
      networkMode: `container:${baseName}`,
    }),
  ],
};

Deno.test("decnet-agent answers --version, --help and hash", async () => {
  const document = new URL("../data/topology-three-lans.json", import.meta.url).pathname;
  const hash = "88dc64f63e2971faecae57a63d466d72f83e34d4756b90d466a5fd70abf8ea50";
  const commit = String.raw`(?:unknown|[0-9a-f]{12}(?:\+changes)? of \d{4}-\d\d-\d\d)`;
  const version = new RegExp(
    String
      .raw`^decnet-agent ${manifest.version} \(commit ${commit}, Deno 2\.9\.4, SQLite 3\.\d+\.\d+\)\n$`,
  );
  const cases: [line: string, answer: RegExp][] = [
    ["--version", version],
    ["version", version],
    ["-V", version],
    ["--once --version", version],
    ["--help", new RegExp(keyNames.map((name) => `  --${name} [^]*`).join(""))],
    ["--once --help", /^decnet-agent --once: /],
    [`hash ${document}`, new RegExp(`^${hash}\n$`)],
  ];
  for (const [line, answer] of cases) {
    const { code, stdout, stderr } = await execute(line.split(" "));
    assert.deepEqual([code, stderr], [0, ""]);
    assert.match(stdout, answer);
  }
});

/** A host that runs the stored topology, and its master. */
interface Setup {
  readonly host: Host;
  readonly engine: FakeEngine;
  readonly master: TlsMaster;
  readonly resources: AsyncDisposableStack;
}

async function createSetup(): Promise<Setup & AsyncDisposable> {
  const resources = new AsyncDisposableStack();
  const host = resources.use(await Host.create());
  const engine = await host.startEngine();
  Object.assign(engine, applied);
  const { master } = await host.startMaster();
  const store = TopologyStore.open(host.storePath);
  store.put(topologyId, "fa61", document);
  store.close();
  return { host, engine, master, resources, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

interface Case {
  readonly what: string;
  readonly code: number;
  /** Matches the text of the line, and the summary of `--json`. */
  readonly says: RegExp;
  /** How many heartbeats the master gets from one check. */
  readonly heartbeats?: 0 | 1;
  readonly prepare?: (setup: Setup) => unknown;
}

const cases: Case[] = [
  {
    what: "Docker runs what was applied",
    code: 0,
    says: /^topology 11111111-2222-.* at fa61, 1 network and 2 containers run, heartbeat sent$/,
  },
  {
    what: "a container is missing",
    code: 1,
    says: /^missing decnet_t_11111111_decky-001-ssh$/,
    prepare: ({ engine }) => engine.containers = engine.containers.slice(0, 1),
  },
  {
    what: "neither the engine nor the master answers",
    code: 2,
    says: /^Cannot observe Docker .*; Cannot reach the master/,
    prepare: async ({ host, engine, master, resources }) => {
      await engine.stop();
      resources.use(listenWithoutAccepting(host.socket));
      master.answer = { kind: "hang" };
    },
  },
  {
    what: "a certificate is missing",
    code: 3,
    says: /worker\.key: no such file/,
    heartbeats: 0,
    prepare: ({ host }) => Deno.remove(`${host.agentDirectory}/worker.key`),
  },
];

for (const { what, code, says, heartbeats = 1, prepare } of cases) {
  Deno.test(`decnet-agent --once exits ${code} when ${what}`, async () => {
    await using setup = await createSetup();
    const { host, master } = setup;
    const flags = ["--once", ...host.flags(master)];
    await prepare?.(setup);
    const [text, json] = await Promise.all([execute(flags), execute([...flags, "--json"])]);
    for (const ended of [text!, json!]) {
      assert.deepEqual([ended.code, ended.stderr], [code, ""], ended.stdout);
      assert.ok(ended.elapsedMs < 10_000, `${ended.elapsedMs} ms`);
    }
    const [, summary] = /^DECNET [A-Z]+ - ([^|\n]*?)(?: \| [^|\n]+)?\n$/.exec(text.stdout)!;
    assert.match(summary!, says);
    const result = JSON.parse(json.stdout);
    assert.match(result.summary, says);
    assert.equal(master.heartbeatCount, 2 * heartbeats);
    if (heartbeats === 0) return;
    const body: HeartbeatBody = {
      host_uuid: "11111111-aaaa-4bbb-8ccc-222222222222",
      agent_version: result.agent_version,
      status: { deployed: false, deckies: [] },
      store: {
        state: result.store.state,
        ...(result.store.detail && { detail: result.store.detail }),
      },
      topology: result.topology,
    };
    assert.deepEqual(master.heartbeats.at(-1)!.body, body);
  });
}

const interval = "--interval=5s";

Deno.test("decnet-agent sends heartbeats when its log is lost", async () => {
  await using host = await Host.create();
  await host.startEngine();
  const { master } = await host.startMaster();
  await using agent = new RunningAgent([interval, ...host.flags(master)], {
    wrapper: ["sh", "-c", 'exec "$0" "$@" 2>/dev/full'],
  });
  await agent.until(() => master.heartbeatCount >= 2);
  await agent.stop();
});

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

/** Locks the store against all other connections. */
function lockStore(host: Host): DatabaseSync {
  const database = new DatabaseSync(host.storePath);
  database.exec("BEGIN EXCLUSIVE");
  return database;
}

const stuckInputs: {
  what: string;
  says: RegExp;
  args: (setup: Setup) => Promise<string[]> | string[];
}[] = [
  {
    what: "--once refuses a named pipe as its store",
    says: /topology\.db: .*not a regular file/,
    args: async ({ host }) => {
      await Deno.remove(host.storePath);
      await makeFifo(host.storePath);
      return ["--once", ...host.flags()];
    },
  },
  {
    what: "--once refuses a named pipe as its configuration",
    says: /pipe\.ini: it is not a regular file/,
    args: async ({ host }) => {
      await makeFifo(`${host.folder}/pipe.ini`);
      return ["--once", `--config=${host.folder}/pipe.ini`, ...host.flags()];
    },
  },
  {
    what: "hash refuses a device that never ends",
    says: /\/dev\/zero: it is larger than 64 MiB/,
    args: () => ["hash", "/dev/zero"],
  },
];

for (const { what, says, args } of stuckInputs) {
  mkfifo.test(`decnet-agent ${what}`, async () => {
    await using setup = await createSetup();
    const { code, stdout, stderr, elapsedMs } = await execute(await args(setup), { wrapper });
    assert.equal(code, 3, stdout + stderr);
    assert.match(stdout + stderr, says);
    assert.ok(elapsedMs < 10_000, `${elapsedMs} ms`);
  });
}

Deno.test("S7 --once sends within 10 s when the store is locked and Docker hangs", async () => {
  await using setup = await createSetup();
  const { host, engine, master } = setup;
  engine.fault = { kind: "hang" };
  using _lock = lockStore(host);
  const { code, stdout, elapsedMs } = await execute(["--once", ...host.flags(master)], { wrapper });
  assert.equal(code, 3, stdout);
  assert.match(stdout, /database is locked/);
  assert.ok(elapsedMs < 10_000, `${elapsedMs} ms`);
  assert.equal(master.heartbeatCount, 1, stdout);
});

Deno.test("S7 decnet-agent stops within 2 s while the store is locked", async () => {
  await using setup = await createSetup();
  const { host, engine } = setup;
  using _lock = lockStore(host);
  await using agent = new RunningAgent([interval, ...host.flags()]);
  // It waits for the lock once the store is open.
  await agent.until(() => agent.openFiles().includes(host.storePath));
  assert.equal((await agent.stop()).stdout, "");
  assert.equal(engine.requestCount, 3);
});

const script = requirement("script", await works("script", "--version"));

/** Returns what the executable prints on a terminal. */
async function printedOnTerminal(
  args: readonly string[],
  env: Record<string, string>,
): Promise<string> {
  const command = `exec ${binary} ${args.join(" ")}`;
  const { stdout } = await new Deno.Command("script", {
    args: ["-qec", command, "/dev/null"],
    env: { PATH: Deno.env.get("PATH") ?? "", HOME: "/nonexistent", SHELL: "/bin/sh", ...env },
    clearEnv: true,
    stdin: "null",
  }).output();
  return new TextDecoder().decode(stdout).replaceAll("\r\n", "\n");
}

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
  const args = ["state", ...host.flags()];
  const drawn = await printedOnTerminal(args, { TERM: "xterm" });
  assert.match(drawn, /\x1b\[31mmissing\x1b\[0m/);
  const plain = drawn.replaceAll(/\x1b\[\d+m/g, "");
  for (const { name } of deckies) assert.ok(plain.includes(`─ ${name} `), plain);
  const env = { TERM: "xterm", NO_COLOR: "1" };
  assert.equal(await printedOnTerminal(args, env), plain);
});

promtool.test("decnet-agent --once --textfile writes metrics that Prometheus reads", async () => {
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
});

Deno.test("decnet-agent writes metrics after each heartbeat", async () => {
  await using listening = await ListeningHost.create();
  const { host, master } = listening;
  await host.startEngine();
  const path = `${host.folder}/decnet.prom`;
  await using agent = new RunningAgent([...listening.flags, `--textfile=${path}`]);
  const has = (line: string) => {
    try {
      return Deno.readTextFileSync(path).split("\n").includes(`decnet_agent_${line}`);
    } catch (error) {
      // The file appears with the first heartbeat, and then never disappears.
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

Deno.test("decnet-agent keeps its counters when a SIGHUP moves the metrics", async () => {
  await using host = await Host.create();
  await host.startEngine();
  const ini = `${host.folder}/decnet.ini`;
  const setTextfile = (textfile: string) =>
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
  setTextfile("a.prom");
  await using agent = new RunningAgent(["--config", ini, ...host.flags()]);
  await agent.until(() => heartbeatsIn("a.prom") > 0);
  setTextfile("b.prom");
  agent.signal("SIGHUP");
  await agent.until(() => heartbeatsIn("b.prom") > 0);
  assert.equal(heartbeatsIn("b.prom"), heartbeatsIn("a.prom") + 1);
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
