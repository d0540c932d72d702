import { DatabaseSync } from "node:sqlite";
import type { AgentOptions } from "../../agent/heartbeat.ts";
import { loadDocument, type PushedDocument, standInOptions } from "../support/topology.ts";
import { TopologyStore } from "../../store/topology_store.ts";
import { type Plan } from "../../topology/plan.ts";
import { type Authority, createAuthority, writeAgentDirectory } from "../support/certificates.ts";
import { FakeEngine } from "../support/engine/fake_engine.ts";
import type { Fault as EngineFault } from "../support/engine/faults.ts";
import { container, type ContainerItem, containerOf, networkOf } from "../support/engine/state.ts";
import { TemporaryFolder } from "../support/environment.ts";
import { SeededRandom } from "../support/random.ts";
import { type MasterAnswer, TlsMaster } from "../support/tls_master.ts";

type Begin = () => Promise<void> | void;

/** Something that the agent observes. */
interface Subject {
  /** Makes all of it well. */
  readonly heal: Begin;
  /** What can go wrong, by name. */
  readonly faults: Readonly<Record<string, Begin>>;
  /** Those that are over at the next step. */
  readonly short?: readonly string[];
  /** Those that cost seconds, and so come only once in so many steps, when all else is well. */
  readonly onceIn?: Readonly<Record<string, number>>;
  /** How many lines a change can add to the agent's log, those about the master apart. */
  readonly linesPerChange: number;
}

/** How long a subject stays well, and at fault, in steps: 1 to this. */
const longestWell = 24;
const longestFault = 10;

/** Lets a subject be well for a while, then at fault in one way or another, then well again. */
class FaultCase {
  /** Name of each fault → how often it has come. */
  readonly counts: Map<string, number>;
  /** How many lines the changes so far may have added. */
  lines = 0;
  #isWell = true;
  #steps = 0;
  #stepsLeft = 1;

  constructor(readonly subject: Subject, readonly random: SeededRandom) {
    this.counts = new Map(Object.keys(subject.faults).map((name) => [name, 0]));
  }

  /** Lets a step pass. */
  async step(): Promise<void> {
    const { faults, onceIn = {} } = this.subject;
    this.#steps++;
    const rare = Object.keys(onceIn).find((name) => {
      return this.#steps >= onceIn[name]! * (1 + this.counts.get(name)!);
    });
    if (rare && this.#isWell) return await this.#begin(rare);
    if (--this.#stepsLeft > 0) return;
    if (!this.#isWell) return await this.heal();
    await this.#begin(this.random.pick(Object.keys(faults).filter((name) => !onceIn[name])));
  }

  /** Makes it well. */
  async heal(): Promise<void> {
    if (this.#isWell) return;
    this.#isWell = true;
    this.#stepsLeft = 1 + this.random.below(longestWell);
    this.lines += this.subject.linesPerChange;
    await this.subject.heal();
  }

  async #begin(name: string): Promise<void> {
    const { faults, short = [], onceIn = {}, linesPerChange } = this.subject;
    this.#isWell = false;
    const isShort = short.includes(name) || onceIn[name] !== undefined;
    this.#stepsLeft = isShort ? 1 : 1 + this.random.below(longestFault);
    this.lines += linesPerChange;
    this.counts.set(name, this.counts.get(name)! + 1);
    await faults[name]!();
  }
}

const tenDaysMs = 10 * 24 * 60 * 60 * 1000;

/** Writes certificates of an agent into a folder; returns them with their faults. */
async function openCertificates(folder: string, authority: Authority): Promise<Subject> {
  const names = { commonName: "host-1", usage: "client" } as const;
  const rotate = async (validity: { notAfter?: Date } = {}) => {
    await writeAgentDirectory(folder, authority, await authority.issue({ ...names, ...validity }));
  };
  const write = (file: string, text: string) => () => {
    Deno.writeTextFileSync(`${folder}/${file}`, text);
  };
  const expireSoon = () => rotate({ notAfter: new Date(Date.now() + tenDaysMs) });
  await rotate();
  return {
    linesPerChange: 1,
    // Each time they are new ones.
    heal: () => rotate(),
    short: ["the certificates are rotated"],
    faults: {
      "the certificates are rotated": () => rotate(),
      "a certificate is about to expire": expireSoon,
      "worker.crt is half-written": write("worker.crt", "-----BEGIN CERT"),
      "worker.key is empty": write("worker.key", ""),
      "ca.crt is gone": () => Deno.removeSync(`${folder}/ca.crt`),
    },
  };
}

/** How many unmanaged containers run beside the topology. */
const unmanagedCount = 40;

const status = { kind: "status", status: 500 } as const;
const engineFaults: Readonly<Record<string, EngineFault>> = {
  "Docker answers 500": { ...status, message: "the daemon is out of sorts" },
  "Docker answers 500 to one list": { ...status, message: "no containers", path: "/containers" },
  "Docker talks garbage": { kind: "garbage" },
  "Docker cuts the connection": { kind: "reset" },
  "Docker ends in the middle": { kind: "truncated" },
  "Docker ends in the middle of a chunk": { kind: "truncated", chunked: true },
  "Docker answers what is not JSON": { kind: "body", body: "[{" },
  "Docker answers slowly": { kind: "slow", bytesPerSecond: 4_000_000 },
};

/** Returns a fault for each entry of a table. */
function faultsOf<T>(table: Readonly<Record<string, T>>, begin: (entry: T) => Promise<void>) {
  return Object.fromEntries(Object.entries(table).map(([name, it]) => [name, () => begin(it)]));
}

/** Starts an engine that runs what is planned; returns the engine, and what it runs. */
async function openEngine(
  socketPath: string,
  plan: Plan,
  stack: AsyncDisposableStack,
): Promise<Subject[]> {
  const labels = { "com.example.owner": "somebody" };
  const unmanaged = Array.from({ length: unmanagedCount }, (_, index) => {
    return container({ name: `stranger-${index}`, labels });
  });
  const managed = plan.containers.map(containerOf);
  const withFirst = (change: Partial<ContainerItem>) =>
    managed.with(0, { ...managed[0]!, ...change });
  let containers: readonly ContainerItem[] = [...unmanaged, ...managed];
  const start = async () => {
    const engine = await FakeEngine.start(socketPath);
    return Object.assign(engine, { networks: plan.networks.map(networkOf), containers });
  };
  let engine = await start();
  let isUp = true;
  stack.defer(() => engine.stop());
  const setFault = async (fault: EngineFault | undefined) => {
    if (!isUp) engine = await start();
    isUp = true;
    engine.fault = fault;
  };
  const stop = async () => {
    isUp = false;
    await engine.stop();
  };
  const run = (items: readonly ContainerItem[]) => {
    engine.containers = containers = [...unmanaged, ...items];
  };
  const exited = { State: "exited", Status: "Exited (0) 1 second ago" } as const;
  const otherSpec = { ...managed[0]!.Labels, "decnet.topology.spec": "of another time" };
  const oneMore = [...managed, container({ name: "decnet_t_unheard-of" })];
  return [{
    linesPerChange: 1,
    heal: () => setFault(undefined),
    onceIn: { "Docker hangs": 3_900, "Docker hangs half-way": 4_100 },
    faults: {
      ...faultsOf(engineFaults, setFault),
      "Docker is stopped": stop,
      "Docker hangs": () => setFault({ kind: "hang" }),
      "Docker hangs half-way": () => setFault({ kind: "hang-body" }),
    },
  }, {
    linesPerChange: 1,
    heal: () => run(managed),
    faults: {
      "a container has stopped": () => run(withFirst(exited)),
      "containers are gone": () => run([]),
      "a container too many": () => run(oneMore),
      "a container has changed": () => run(withFirst({ Labels: otherSpec })),
    },
  }];
}

const masterFaults: Readonly<Record<string, MasterAnswer>> = {
  "the master answers 400": { status: 400, body: '{"detail":"what is that?"}' },
  "the master answers 403": { status: 403, body: '{"detail":"not the pinned certificate"}' },
  "the master answers 404": { status: 404, body: '{"detail":"no such host"}' },
  "the master answers 500": { status: 500, body: "Internal Server Error" },
  "the master asks for a pause": { status: 503, headers: { "retry-after": "30" } },
  "the master cuts the connection": { kind: "reset" },
  "the master cuts its answer": { kind: "cut", status: 200 },
  "the master answers at length": { status: 502, body: "x".repeat(20_000) },
  "the master is late": { kind: "late", status: 204, ms: 40 },
};

/** Starts a master on a port that stays its own. */
async function openMaster(
  authority: Authority,
  stack: AsyncDisposableStack,
): Promise<{ subject: Subject; port: number }> {
  const dnsNames = ["master.test"];
  const certificate = await authority.issue({ commonName: "master", dnsNames, usage: "server" });
  const master = await TlsMaster.start({ authority, certificate });
  stack.defer(() => master.stop());
  const { port } = master;
  let isUp = true;
  const setAnswer = async (answer: MasterAnswer = { status: 204 }) => {
    if (!isUp) await master.listen();
    isUp = true;
    master.answer = answer;
  };
  const stop = async () => {
    if (isUp) await master.stop();
    isUp = false;
  };
  const subject = {
    // Its lines are counted by themselves.
    linesPerChange: 0,
    heal: () => setAnswer(),
    short: ["the master starts again"],
    onceIn: { "the master hangs": 9_000 },
    faults: {
      ...faultsOf(masterFaults, setAnswer),
      "the master is absent": stop,
      "the master starts again": () => stop().then(() => setAnswer()),
      "the master hangs": () => setAnswer({ kind: "hang" }),
    },
  };
  return { subject, port };
}

/** Makes a store that holds what was pushed; returns it with what happens to files. */
function openStore(
  path: string,
  { text, topology: { id }, versionHash }: PushedDocument,
  stack: AsyncDisposableStack,
): Subject {
  let lock: DatabaseSync | null = null;
  const unlock = () => {
    lock?.close();
    lock = null;
  };
  stack.defer(unlock);
  const holdLock = () => {
    lock = new DatabaseSync(path);
    lock.exec("BEGIN EXCLUSIVE");
  };
  const change = (path: string, work: (store: TopologyStore) => void) => {
    using store = TopologyStore.open(path);
    work(store);
  };
  const fresh = `${path}.fresh`;
  const replace = (write: () => void) => {
    unlock();
    write();
    Deno.renameSync(fresh, path);
  };
  const put = () => replace(() => change(fresh, (store) => store.put(id, versionHash, text)));
  put();
  const [create, read] = ["Cannot create a container: no", "Cannot read the document: no"];
  return {
    // The store or the recorded error, and the drift.
    linesPerChange: 2,
    heal: put,
    short: ["the store is locked for a moment"],
    onceIn: { "the store stays locked": 8_000 },
    // Each begins when the store is well, and so not locked.
    faults: {
      "the store is removed": () => Deno.removeSync(path),
      "the store is no database": () =>
        replace(() => Deno.writeTextFileSync(fresh, "no database ".repeat(500))),
      "the store holds an error": () => change(path, (store) => store.recordError(id, create)),
      "the store holds another version": () => change(path, (store) => store.put(id, "x", text)),
      "the store holds an unknown document": () =>
        replace(() => change(fresh, (store) => store.recordError("unheard-of", read))),
      "the store is cut half-way": () => Deno.truncateSync(path, 512),
      "the store is locked for a moment": () => {
        holdLock();
        setTimeout(unlock, 60);
      },
      "the store stays locked": holdLock,
    },
  };
}

/** How an agent finds the host; the plan options are the default ones. */
export type HostOptions = Omit<AgentOptions, "planOptions">;

/** All that an agent observes, in this process and a folder, with faults at random. */
export class SimulatedHost implements AsyncDisposable {
  private constructor(
    readonly agentOptions: HostOptions,
    readonly cases: readonly FaultCase[],
    readonly stack: AsyncDisposableStack,
  ) {}

  /** All is well at first; the same faults come, in the same order, for the same seed. */
  static async create(seed: number): Promise<SimulatedHost> {
    await using stack = new AsyncDisposableStack();
    const { path } = stack.use(new TemporaryFolder());
    const pushed = await loadDocument(standInOptions);
    const authority = await createAuthority("soak");
    const engine = await openEngine(`${path}/docker.sock`, pushed.plan, stack);
    const master = await openMaster(authority, stack);
    const store = openStore(`${path}/topology.db`, pushed, stack);
    const certificates = await openCertificates(path, authority);
    const random = new SeededRandom(seed);
    const subjects = [...engine, master.subject, store, certificates];
    const options = {
      agentVersion: "0.0.0",
      hostUuid: "11111111-aaaa-4bbb-8ccc-222222222222",
      master: { host: "127.0.0.1", port: master.port, name: "master.test", fingerprint: null },
      agentDirectory: path,
      storePath: `${path}/topology.db`,
      sockets: [`${path}/docker.sock`],
      networkPrefixes: ["decnet-topology-", "decnet_t_"],
      containerPrefixes: ["decnet-", "decnet_t_"],
      callTimeoutMs: 2_000,
    };
    const cases = subjects.map((subject) => new FaultCase(subject, random));
    return new SimulatedHost(options, cases, stack.move());
  }

  /** Lets time pass, for something to go wrong or right. */
  async step(): Promise<void> {
    for (const it of this.cases) await it.step();
  }

  /** Makes all well. */
  async heal(): Promise<void> {
    for (const it of this.cases) await it.heal();
  }

  /** How often each fault has come. */
  get counts(): ReadonlyMap<string, number> {
    return new Map(this.cases.flatMap(({ counts }) => [...counts]));
  }

  /** How many lines the agent may have logged, those about the master apart. */
  get lines(): number {
    return this.cases.reduce((sum, { lines }) => sum + lines, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stack.disposeAsync();
  }
}
