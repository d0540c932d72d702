import assert from "node:assert/strict";
import { standInOptions } from "./topology.ts";
import { Agent, type AgentOptions, type Heartbeat } from "../../agent/heartbeat.ts";
import { runLoop } from "../../agent/loop.ts";
import { Wakeup } from "../../agent/schedule.ts";
import { HostWatcher } from "../../agent/watcher.ts";
import { createLog, type Log } from "../../host/log.ts";
import { TopologyStore } from "../../store/topology_store.ts";
import { versionHash as hashOf } from "../../topology/hash.ts";
import { parseJson } from "../../topology/json.ts";
import { writeAgentDirectory } from "./certificates.ts";
import { FakeEngine } from "./engine/fake_engine.ts";
import { container, network } from "./engine/state.ts";
import { TemporaryFolder } from "./environment.ts";
import { authority, startMaster } from "./master_setup.ts";
import { assertNoSecrets, withPassword } from "./secrets.ts";
import type { TlsMaster } from "./tls_master.ts";

/** The document of one LAN with one decky. */
export const document: string = withPassword(
  Deno.readTextFileSync(new URL("../data/topology-one-lan.json", import.meta.url)),
);
/** The id in it. */
export const topologyId = "11111111-2222-3333-4444-555555555555";
/** Its version hash. */
export const versionHash: string = await hashOf(parseJson(document));

const lan = "decnet_t_11111111_lan-00";
const decky = "decnet_t_11111111_decky-001";

const prefixes = {
  networkPrefixes: ["decnet-topology-", "decnet_t_"],
  containerPrefixes: ["decnet-", "decnet_t_"],
};

/** A host with its own engine, master and folder. */
export class AgentSetup implements AsyncDisposable {
  readonly path: string;
  readonly storePath: string;
  /** The master's port, also when it has stopped. */
  readonly port: number;

  private constructor(
    readonly folder: TemporaryFolder,
    readonly engine: FakeEngine,
    readonly master: TlsMaster,
  ) {
    this.path = folder.path;
    this.storePath = `${folder.path}/topology.db`;
    this.port = master.port;
  }

  /** Nothing is applied and nothing runs at first; the certificates are in place. */
  static async create(): Promise<AgentSetup> {
    const folder = new TemporaryFolder();
    const engine = await FakeEngine.start(`${folder.path}/docker.sock`);
    const setup = new AgentSetup(folder, engine, await startMaster());
    await setup.writeCertificates("worker-1");
    return setup;
  }

  /** Puts a certificate of this name in place. */
  async writeCertificates(commonName: string, notAfter?: Date): Promise<void> {
    const options = { commonName, usage: "client", ...(notAfter && { notAfter }) } as const;
    await writeAgentDirectory(this.path, authority, await authority.issue(options));
  }

  /** An agent of this host; close it. */
  newAgent(options: Partial<AgentOptions> = {}): Agent {
    return new Agent({
      agentVersion: "1.2.3",
      hostUuid: "host-1",
      master: { host: "127.0.0.1", port: this.port, name: "master.test", fingerprint: null },
      agentDirectory: this.path,
      storePath: this.storePath,
      sockets: [this.engine.socketPath],
      ...prefixes,
      planOptions: standInOptions,
      ...options,
    });
  }

  /** Changes the store; its clock stands at 1,700,000,000 s. */
  changeStore(change: (store: TopologyStore) => void): void {
    using store = TopologyStore.open(this.storePath, { now: () => 1_700_000_000_000 });
    change(store);
  }

  /** Applies the document of one LAN, in the store and in Docker. */
  apply(): void {
    this.changeStore((store) => store.put(topologyId, versionHash, document));
    const labels = { "decnet.topology.id": topologyId };
    this.engine.networks = [
      network({ name: "bridge", subnet: "172.17.0.0/16" }),
      network({ name: lan, subnet: "10.0.0.0/24", labels }),
    ];
    this.engine.containers = [
      container({ name: "unrelated" }),
      container({ name: `${decky}-ssh`, labels, networkMode: `container:${decky}` }),
      container({ name: decky, labels, addresses: { [lan]: "10.0.0.2" } }),
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.engine.stop();
    await this.master.stop();
    this.folder[Symbol.dispose]();
  }
}

/** Runs a test on a host and an agent of it. */
export async function withAgent(
  test: (setup: AgentSetup, agent: Agent) => Promise<void>,
  options?: (setup: AgentSetup) => Partial<AgentOptions>,
): Promise<void> {
  await using setup = await AgentSetup.create();
  const agent = setup.newAgent(options?.(setup));
  try {
    await test(setup, agent);
  } finally {
    agent.close();
  }
}

/** A heartbeat, and the body that the master got; null when it got none. */
interface HeartbeatAndBody {
  readonly heartbeat: Heartbeat;
  readonly received: Heartbeat["body"] | null;
}

/** Runs a test on a host and a function that sends a heartbeat. */
export async function withHeartbeats(
  test: (setup: AgentSetup, heartbeat: () => Promise<HeartbeatAndBody>) => Promise<void>,
  options?: (setup: AgentSetup) => Partial<AgentOptions>,
): Promise<void> {
  await withAgent(async (setup, agent) => {
    const { master } = setup;
    await test(setup, async () => {
      const before = master.heartbeatCount;
      const heartbeat = await agent.sendHeartbeat(new AbortController().signal);
      const received = master.heartbeatCount > before ? master.heartbeats.at(-1)!.body : null;
      return { heartbeat, received: received as Heartbeat["body"] | null };
    });
  }, options);
}

/** A clock for a loop whose waits take no time. */
export class SkippedTime {
  #skippedMs = 0;
  /** The last time returned: waits are measured from it, so that a busy machine adds nothing. */
  lastMs = 0;

  readonly now = (): number => this.lastMs = performance.now() + this.#skippedMs;

  skip(ms: number): void {
    // A fraction lost in rounding would make the loop wait for ever.
    this.#skippedMs += Math.max(ms, 1e-6);
  }
}

/** How a loop is run whose waits take no time. */
interface SkippingOptions {
  readonly log?: Log;
  readonly random?: () => number;
  /** Runs before each heartbeat, counted from 1; false ends the loop. */
  readonly before: (heartbeat: number) => boolean | Promise<boolean>;
  readonly onHeartbeat?: (heartbeat: Heartbeat) => void;
}

/** Runs the loop with waits that take no time; returns the wait before each heartbeat, in ms. */
export async function runSkipping(agent: Agent, options: SkippingOptions): Promise<number[]> {
  const { log = () => {}, random = Math.random, before, onHeartbeat } = options;
  const time = new SkippedTime();
  const waitsMs: number[] = [];
  let sent = 0;
  let startedAt = 0;
  await runLoop(agent, new AbortController().signal, {
    intervalMs: 30_000,
    log,
    random,
    now: time.now,
    onHeartbeat: (heartbeat) => {
      sent++;
      onHeartbeat?.(heartbeat);
    },
    wait: async (ms) => {
      // The loop splits a long wait, to check the host in between.
      const isFirstPart = waitsMs.length === sent;
      if (isFirstPart) startedAt = time.lastMs;
      // In tenths of a second: a busy machine takes a part of the wait.
      waitsMs[sent] = Math.round((time.lastMs + ms - startedAt) / 100) * 100;
      time.skip(ms);
      return !isFirstPart || await before(sent + 1);
    },
  });
  return waitsMs;
}

/** How a loop is run. */
type RunningOptions =
  & Partial<Parameters<typeof runLoop>[2]>
  & Pick<AgentOptions, "fallback">
  & Partial<Pick<AgentOptions, "sockets">>;

/** The agent's loop with real waits. */
export class RunningLoop implements AsyncDisposable {
  readonly agent: Agent;
  readonly wakeup: Wakeup;
  readonly lines: string[] = [];
  readonly heartbeats: Heartbeat[] = [];
  readonly #stop = new AbortController();
  readonly #running: Promise<unknown>;
  #works = 0;

  /** By default no test waits for the interval, and the first heartbeat comes at once. */
  constructor(setup: AgentSetup, options: RunningOptions = {}, isWatched = false) {
    const { sockets = [setup.engine.socketPath], fallback, onWork, ...loopOptions } = options;
    const { random = () => 0, wakeup = new Wakeup() } = loopOptions;
    const agent = setup.newAgent({ sockets, ...(fallback && { fallback }) });
    const log = createLog((line) => this.lines.push(assertNoSecrets(line).trimEnd()));
    const watcher = new HostWatcher({
      sockets,
      storePath: setup.storePath,
      ...prefixes,
      log,
      onChange: () => wakeup.requestCheck(),
      random,
    });
    const { signal } = this.#stop;
    this.agent = agent;
    this.wakeup = wakeup;
    const loop = runLoop(agent, signal, {
      intervalMs: 3_600_000,
      minEarlyGapMs: 0,
      log,
      random,
      wakeup,
      onHeartbeat: (heartbeat) => this.heartbeats.push(heartbeat),
      onSnapshot: (snapshot) => isWatched && watcher.note(snapshot),
      ...loopOptions,
      onWork: (phase) => {
        this.#works += phase === "begin" ? 1 : 0;
        onWork?.(phase);
      },
    });
    const watching = isWatched && watcher.run(signal);
    this.#running = Promise.all([loop, watching]).finally(() => agent.close());
  }

  /** How many checks have begun. */
  readonly works = (): number => this.#works;

  /** The containers of the last heartbeat, or its error. */
  get observed(): readonly string[] | string | null {
    const observed = this.heartbeats.at(-1)?.snapshot.observed;
    if (!observed) return null;
    return observed.kind === "failed" ? observed.error : observed.containers;
  }

  /** Stops the loop, which must end at once. */
  readonly stop = async (): Promise<void> => {
    const startedAt = performance.now();
    this.#stop.abort(new Error("the agent is stopping"));
    await this.#running;
    assert.ok(performance.now() - startedAt < 2_000);
  };

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/** The agent's loop and watcher, as `decnet-agent` runs them without the API. */
export class WatchedLoop extends RunningLoop {
  constructor(setup: AgentSetup, options: RunningOptions = {}) {
    super(setup, options, true);
  }
}
