import { DatabaseSync } from "node:sqlite";
import type { AgentOptions } from "../../agent/heartbeat.ts";
import { loadDocument, type PushedDocument } from "../support/topology.ts";
import { TopologyStore } from "../../store/topology_store.ts";
import { defaultImages, type Plan } from "../../topology/plan.ts";
import { type Authority, createAuthority, writeAgentDirectory } from "../support/certificates.ts";
import { FakeEngine } from "../support/engine/fake_engine.ts";
import type { Fault } from "../support/engine/faults.ts";
import { container, type ContainerItem, containerOf, networkOf } from "../support/engine/state.ts";
import { TemporaryFolder } from "../support/environment.ts";
import { SeededRandom } from "../support/random.ts";
import { type MasterAnswer, TlsMaster } from "../support/tls_master.ts";

/** A state of something that the agent observes. */
interface Condition {
  readonly name: string;
  /** Makes it so. */
  readonly begin: () => Promise<void> | void;
  /** It is over at the next step. */
  readonly isShort?: boolean;
  /** It costs seconds, and so comes only once in so many steps, when all else is well. */
  readonly onceIn?: number;
}

/** Something that the agent observes, and its states. */
interface Subject {
  readonly well: Condition;
  readonly faults: readonly Condition[];
  /** How many lines a change can bring into the agent's log, those about the master apart. */
  readonly linesPerChange: number;
}

/** How long something stays well, and at fault, in steps: 1 to this. */
const longestWell = 24;
const longestFault = 10;

/** Lets a subject be well for a while, then at fault in one way or another, then well again. */
class FaultCase {
  /** Name of each fault → how often it has come. */
  readonly counts: Map<string, number>;
  /** How many lines the changes so far may have brought. */
  lines = 0;
  #now: Condition;
  #steps = 0;
  #stepsLeft = 1;

  constructor(readonly subject: Subject, readonly random: SeededRandom) {
    this.#now = subject.well;
    this.counts = new Map(subject.faults.map(({ name }) => [name, 0]));
  }

  /** Lets a step pass. */
  async step(): Promise<void> {
    const { well, faults } = this.subject;
    this.#steps++;
    const rare = faults.find(({ name, onceIn = Infinity }) => {
      return this.#steps >= onceIn * (1 + this.counts.get(name)!);
    });
    if (rare && this.#now === well) return await this.#become(rare);
    if (--this.#stepsLeft > 0) return;
    const common = faults.filter(({ onceIn }) => onceIn === undefined);
    await this.#become(this.#now === well ? this.random.pick(common) : well);
  }

  /** Makes it well. */
  async heal(): Promise<void> {
    if (this.#now !== this.subject.well) await this.#become(this.subject.well);
  }

  async #become(next: Condition): Promise<void> {
    const isShort = next.isShort || next.onceIn !== undefined;
    const longest = isShort ? 1 : next === this.subject.well ? longestWell : longestFault;
    this.#stepsLeft = 1 + this.random.below(longest);
    this.#now = next;
    this.lines += this.subject.linesPerChange;
    const count = this.counts.get(next.name);
    if (count !== undefined) this.counts.set(next.name, count + 1);
    await next.begin();
  }
}

const tenDaysMs = 10 * 24 * 60 * 60 * 1000;

/** Writes certificates of an agent into a folder; returns them with their faults. */
async function openCertificates(folder: string, authority: Authority): Promise<Subject> {
  const names = { commonName: "host-1", usage: "client" } as const;
  const rotate = async (validity: { notAfter?: Date } = {}) => {
    await writeAgentDirectory(folder, authority, await authority.issue({ ...names, ...validity }));
  };
  const expireSoon = () => rotate({ notAfter: new Date(Date.now() + tenDaysMs) });
  const write = (file: string, text: string) => () => {
    Deno.writeTextFileSync(`${folder}/${file}`, text);
  };
  await rotate();
  return {
    linesPerChange: 1,
    // Each time they are new ones.
    well: { name: "the certificates are in order", begin: () => rotate() },
    faults: [
      { name: "the certificates are rotated", isShort: true, begin: () => rotate() },
      { name: "a certificate is about to expire", begin: expireSoon },
      { name: "worker.crt is half-written", begin: write("worker.crt", "-----BEGIN CERT") },
      { name: "worker.key is empty", begin: write("worker.key", "") },
      { name: "ca.crt is gone", begin: () => Deno.removeSync(`${folder}/ca.crt`) },
    ],
  };
}

/** How many unmanaged containers run beside the topology. */
const unmanagedCount = 40;

const engineFaults: Readonly<Record<string, Fault>> = {
  "Docker answers 500": { kind: "status", status: 500, message: "the daemon is out of sorts" },
  "Docker answers 500 to one list": {
    ...{ kind: "status", status: 500, message: "no containers today", path: "/containers" },
  },
  "Docker talks garbage": { kind: "garbage" },
  "Docker cuts the connection": { kind: "reset" },
  "Docker ends in the middle": { kind: "truncated" },
  "Docker ends in the middle of a chunk": { kind: "truncated", chunked: true },
  "Docker answers what is not JSON": { kind: "body", body: "[{" },
  "Docker answers slowly": { kind: "slow", bytesPerSecond: 4_000_000 },
};

/** Starts an engine that runs what is planned; returns whether it answers, and what it runs. */
async function openEngine(
  socketPath: string,
  plan: Plan,
  stack: AsyncDisposableStack,
): Promise<Subject[]> {
  const labels = { "com.example.owner": "somebody" };
  const unmanaged = Array.from({ length: unmanagedCount }, (_, index) => {
    return container({ name: `stranger-${index}`, labels });
  });
  const managed = () => plan.containers.map(containerOf);
  const first = (change: Partial<ContainerItem>) => {
    const [it, ...rest] = managed();
    return [{ ...it!, ...change }, ...rest];
  };
  const otherSpec = { ...managed()[0]!.Labels, "decnet.topology.spec": "of another time" };
  const exited = { State: "exited", Status: "Exited (0) 1 second ago" } as const;
  let containers: readonly ContainerItem[] = [...unmanaged, ...managed()];
  const start = async () => {
    const engine = await FakeEngine.start(socketPath);
    return Object.assign(engine, { networks: plan.networks.map(networkOf), containers });
  };
  let engine = await start();
  let isUp = true;
  stack.defer(() => engine.stop());
  const setFault = async (fault: Fault | undefined) => {
    if (!isUp) engine = await start();
    isUp = true;
    engine.fault = fault;
  };
  const stop = async () => {
    isUp = false;
    await engine.stop();
  };
  const run = (items: readonly ContainerItem[]) => () => {
    engine.containers = containers = [...unmanaged, ...items];
  };
  return [{
    linesPerChange: 1,
    well: { name: "Docker answers", begin: () => setFault(undefined) },
    faults: [
      ...Object.entries(engineFaults).map(([name, fault]) => {
        return { name, begin: () => setFault(fault) };
      }),
      { name: "Docker is stopped", begin: stop },
      { name: "Docker hangs", onceIn: 3_900, begin: () => setFault({ kind: "hang" }) },
      {
        name: "Docker hangs half-way",
        onceIn: 4_100,
        begin: () => setFault({ kind: "hang-body" }),
      },
    ],
  }, {
    linesPerChange: 1,
    well: { name: "all runs", begin: run(managed()) },
    faults: [
      { name: "a container has stopped", begin: run(first(exited)) },
      { name: "containers are gone", begin: run([]) },
      {
        name: "a container too many",
        begin: run([...managed(), container({ name: "decnet_t_unheard-of" })]),
      },
      { name: "a container has changed", begin: run(first({ Labels: otherSpec })) },
    ],
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
  let master = await TlsMaster.start({ authority, certificate });
  stack.defer(() => master.stop());
  const { port } = master;
  let isUp = true;
  const be = async (answer: MasterAnswer = { status: 204 }) => {
    if (!isUp) master = await TlsMaster.start({ authority, certificate, port });
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
    well: { name: "the master accepts", begin: () => be() },
    faults: [
      ...Object.entries(masterFaults).map(([name, answer]) => ({ name, begin: () => be(answer) })),
      { name: "the master is absent", begin: stop },
      { name: "the master starts again", isShort: true, begin: () => stop().then(() => be()) },
      { name: "the master hangs", onceIn: 9_000, begin: () => be({ kind: "hang" }) },
    ],
  };
  return { subject, port };
}

/** For how long a lock is held that has no consequence, in milliseconds. */
const shortLockMs = 60;

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
  const holdBriefly = () => {
    holdLock();
    setTimeout(unlock, shortLockMs);
  };
  const inFile = (path: string, change: (store: TopologyStore) => void) => {
    using store = TopologyStore.open(path);
    change(store);
  };
  const inPlace = (change: (store: TopologyStore) => void) => () => inFile(path, change);
  /** Puts a new file in the place of the store. */
  const replace = (write: (fresh: string) => void) => () => {
    write(`${path}.fresh`);
    Deno.renameSync(`${path}.fresh`, path);
  };
  const replaceBy = (change: (store: TopologyStore) => void) => {
    return replace((fresh) => inFile(fresh, change));
  };
  const put = replaceBy((store) => store.put(id, versionHash, text));
  put();
  const condition = (name: string, begin: () => void): Condition => ({
    name,
    begin: () => {
      unlock();
      begin();
    },
  });
  const create = "Cannot create a container: no";
  const read = "Cannot read the document: no";
  const garbage = (fresh: string) => Deno.writeTextFileSync(fresh, "no database ".repeat(500));
  return {
    // The store or the recorded error, and the drift.
    linesPerChange: 2,
    well: condition("the store holds what was applied", put),
    faults: [
      condition("the store is removed", () => Deno.removeSync(path)),
      condition("the store is no database", replace(garbage)),
      condition("the store holds an error", inPlace((store) => store.recordError(id, create))),
      condition(
        "the store holds another version",
        inPlace((store) => store.put(id, "another", text)),
      ),
      condition(
        "the store holds an unknown document",
        replaceBy((store) => store.recordError("unheard-of", read)),
      ),
      condition("the store is cut half-way", () => Deno.truncateSync(path, 512)),
      { ...condition("the store is locked for a moment", holdBriefly), isShort: true },
      { ...condition("the store stays locked", holdLock), onceIn: 8_000 },
    ],
  };
}

/** How long the agent waits for an answer of the engine here, in milliseconds. */
const callTimeoutMs = 2_000;

/** How an agent finds the host; the images are the default ones. */
export type HostOptions = Omit<AgentOptions, "images">;

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
    const pushed = await loadDocument(defaultImages);
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
      callTimeoutMs,
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
