import { DatabaseSync } from "node:sqlite";
import type { AgentOptions } from "../../agent/heartbeat.ts";
import { loadDocument, type PushedDocument } from "../support/topology.ts";
import { TopologyStore } from "../../store/topology_store.ts";
import { defaultImages, type Plan } from "../../topology/plan.ts";
import { type Authority, createAuthority, writeAgentDirectory } from "../support/certificates.ts";
import { FakeEngine } from "../support/engine/fake_engine.ts";
import type { Fault } from "../support/engine/faults.ts";
import { container, network } from "../support/engine/state.ts";
import { TemporaryFolder } from "../support/environment.ts";
import { SeededRandom } from "../support/random.ts";
import { type MasterAnswer, TlsMaster } from "../support/tls_master.ts";

/** One way to be, of something that the agent looks at. */
interface Condition {
  readonly name: string;
  /** Makes it so. */
  readonly begin: () => Promise<void> | void;
  /** It is over at the next step. */
  readonly isShort?: boolean;
  /** Costs seconds, and so comes up only once in so many steps, when all else is well. */
  readonly onceIn?: number;
}

/** Something that the agent looks at, and how it can be. */
interface Subject {
  readonly well: Condition;
  readonly unwell: readonly Condition[];
  /** About how many subjects a change can make the agent's log speak, the master's apart. */
  readonly linesPerChange: number;
}

/** How long something stays well, and unwell, in steps: 1 to this. */
const longestWell = 24;
const longestUnwell = 10;

/** Lets something be well for a while, then unwell in one way or another, then well again. */
class FaultCase {
  /** Name of each condition → how often it has come. */
  readonly counts = new Map<string, number>();
  /** How many lines the changes so far may have brought about. */
  lines = 0;
  readonly #subject: Subject;
  readonly #random: SeededRandom;
  #now: Condition;
  #steps = 0;
  #stepsLeft = 1;

  /** It must be well now. */
  constructor(subject: Subject, random: SeededRandom) {
    this.#subject = subject;
    this.#now = subject.well;
    this.#random = random;
    for (const { name } of subject.unwell) this.counts.set(name, 0);
  }

  /** Lets a step pass. */
  async step(): Promise<void> {
    const { well, unwell } = this.#subject;
    this.#steps++;
    const rare = unwell.find(({ name, onceIn = Infinity }) => {
      return this.#steps >= onceIn * (1 + this.counts.get(name)!);
    });
    if (rare && this.#now === well) return await this.#become(rare);
    if (--this.#stepsLeft > 0) return;
    if (this.#now !== well) return await this.#become(well);
    const common = unwell.filter(({ onceIn }) => onceIn === undefined);
    await this.#become(this.#random.pick(common));
  }

  /** Makes it well. */
  async heal(): Promise<void> {
    if (this.#now !== this.#subject.well) await this.#become(this.#subject.well);
  }

  async #become(next: Condition): Promise<void> {
    const isShort = next.isShort || next.onceIn !== undefined;
    const longest = isShort ? 1 : next === this.#subject.well ? longestWell : longestUnwell;
    this.#stepsLeft = 1 + this.#random.below(longest);
    this.#now = next;
    this.lines += this.#subject.linesPerChange;
    if (this.counts.has(next.name)) this.counts.set(next.name, this.counts.get(next.name)! + 1);
    await next.begin();
  }
}

const dayMs = 24 * 60 * 60 * 1000;

/** Puts certificates for an agent into a folder, and goes through what happens to them. */
async function openCertificates(folder: string, authority: Authority): Promise<Subject> {
  const rotate = async (notAfter?: Date) => {
    const options = {
      commonName: "host-1",
      usage: "client",
      ...(notAfter && { notAfter }),
    } as const;
    await writeAgentDirectory(folder, authority, await authority.issue(options));
  };
  await rotate();
  const spoil = (file: string, text: string) => () => {
    Deno.writeTextFileSync(`${folder}/${file}`, text);
  };
  return {
    linesPerChange: 1,
    // Each time they are new ones.
    well: { name: "the certificates are in order", begin: () => rotate() },
    unwell: [
      { name: "the certificates are rotated", isShort: true, begin: () => rotate() },
      {
        name: "a certificate is about to expire",
        begin: () => rotate(new Date(Date.now() + 10 * dayMs)),
      },
      { name: "worker.crt is half-written", begin: spoil("worker.crt", "-----BEGIN CERT") },
      { name: "worker.key is empty", begin: spoil("worker.key", "") },
      { name: "ca.crt is gone", begin: () => Deno.removeSync(`${folder}/ca.crt`) },
    ],
  };
}

/** How many containers of others run beside the topology. */
const unmanaged = 40;

const faults: Readonly<Record<string, Fault>> = {
  "Docker answers 500": { kind: "status", status: 500, message: "the daemon is out of sorts" },
  "Docker answers 500 to one list": {
    kind: "status",
    status: 500,
    message: "no containers today",
    path: "/containers",
  },
  "Docker talks garbage": { kind: "garbage" },
  "Docker cuts the connection": { kind: "reset" },
  "Docker ends in the middle": { kind: "truncated" },
  "Docker ends in the middle of a chunk": { kind: "truncated", chunked: true },
  "Docker answers what is not JSON": { kind: "body", body: "[{" },
  "Docker answers slowly": { kind: "slow", bytesPerSecond: 4_000_000 },
};

/** Starts an engine that runs what is planned: whether it answers, and what it runs. */
async function openEngine(
  socketPath: string,
  plan: Plan,
  stack: AsyncDisposableStack,
): Promise<Subject[]> {
  const others = Array.from({ length: unmanaged }, (_, index) => {
    return container({ name: `stranger-${index}`, labels: { "com.example.owner": "somebody" } });
  });
  const networks = plan.networks.map(({ name, subnet, internal, request }) => {
    return network({ name, subnet, internal, labels: { ...request.Labels } });
  });
  const containersWith = (state: "running" | "exited", first: string, labels = {}) =>
    plan.containers.map(({ name, base, addressByNetwork, request }) =>
      container({
        name,
        image: request.Image,
        labels: { ...request.Labels, ...(name === first ? labels : {}) },
        state: name === first ? state : "running",
        ...(base === null
          ? { addresses: Object.fromEntries(addressByNetwork) }
          : { networkMode: `container:${base}` }),
      })
    );
  let engine: FakeEngine;
  const start = async () => {
    const started = await FakeEngine.start(socketPath);
    started.networks = networks;
    started.containers = [...others, ...containersWith("running", "")];
    return started;
  };
  engine = await start();
  stack.defer(() => engine.stop());
  const strike = async (fault: Fault | undefined) => {
    if (!isUp) {
      const { containers } = engine;
      engine = await start();
      engine.containers = containers;
    }
    isUp = true;
    engine.fault = fault;
  };
  let isUp = true;
  const run = (containers: typeof engine.containers) => {
    engine.containers = [...others, ...containers];
  };
  const first = plan.containers[0]!.name;
  const extra = container({ name: "decnet_t_unheard-of" });
  return [{
    linesPerChange: 1,
    well: { name: "Docker answers", begin: () => strike(undefined) },
    unwell: [
      ...Object.entries(faults).map(([name, fault]) => ({ name, begin: () => strike(fault) })),
      {
        name: "Docker is stopped",
        begin: async () => {
          isUp = false;
          await engine.stop();
        },
      },
      { name: "Docker hangs", onceIn: 3_900, begin: () => strike({ kind: "hang" }) },
      { name: "Docker hangs half-way", onceIn: 4_100, begin: () => strike({ kind: "hang-body" }) },
    ],
  }, {
    linesPerChange: 1,
    well: { name: "all runs", begin: () => run(containersWith("running", "")) },
    unwell: [
      { name: "a container has stopped", begin: () => run(containersWith("exited", first)) },
      { name: "containers are gone", begin: () => run([]) },
      {
        name: "a container too many",
        begin: () => run([...containersWith("running", ""), extra]),
      },
      {
        name: "a container has changed",
        begin: () =>
          run(containersWith("running", first, { "decnet.topology.spec": "of another time" })),
      },
    ],
  }];
}

const answers: Readonly<Record<string, MasterAnswer>> = {
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
  const be = async (answer: MasterAnswer) => {
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
    well: { name: "the master accepts", begin: () => be({ status: 204 }) },
    unwell: [
      ...Object.entries(answers).map(([name, answer]) => ({ name, begin: () => be(answer) })),
      { name: "the master is absent", begin: stop },
      {
        name: "the master starts again",
        isShort: true,
        begin: async () => {
          await stop();
          await be({ status: 204 });
        },
      },
      { name: "the master hangs", onceIn: 9_000, begin: () => be({ kind: "hang" }) },
    ],
  };
  return { subject, port };
}

/** For how long a lock that nobody notices is held, in milliseconds. */
const shortLockMs = 60;

/** Makes a store that holds what was pushed, and goes through what happens to files. */
function openStore(
  path: string,
  { text, topology, versionHash }: PushedDocument,
  stack: AsyncDisposableStack,
): Subject {
  /** Puts a new file in the place of the store. */
  const replace = (write: (fresh: string) => void) => {
    const fresh = `${path}.fresh`;
    write(fresh);
    Deno.renameSync(fresh, path);
  };
  const holding = (change: (store: TopologyStore) => void) => () =>
    replace((fresh) => {
      using store = TopologyStore.open(fresh);
      change(store);
    });
  const put = holding((store) => store.put(topology.id, versionHash, text));
  put();
  const inPlace = (change: (store: TopologyStore) => void) => () => {
    using store = TopologyStore.open(path);
    change(store);
  };
  let lock: DatabaseSync | null = null;
  const unlock = () => {
    lock?.close();
    lock = null;
  };
  stack.defer(unlock);
  const lockIt = () => {
    unlock();
    lock = new DatabaseSync(path);
    lock.exec("BEGIN EXCLUSIVE");
  };
  const condition = (name: string, begin: () => void): Condition => ({
    name,
    begin: () => {
      unlock();
      begin();
    },
  });
  return {
    // The store or the recorded error, and the drift.
    linesPerChange: 2,
    well: condition("the store holds what was applied", put),
    unwell: [
      condition("the store is removed", () => Deno.removeSync(path)),
      condition("the store is no database", () => {
        replace((fresh) => Deno.writeTextFileSync(fresh, "no database ".repeat(500)));
      }),
      condition(
        "the store holds an error",
        inPlace((store) => store.recordError(topology.id, "Cannot create a container: no")),
      ),
      condition(
        "the store holds another version",
        inPlace((store) => store.put(topology.id, "another", text)),
      ),
      condition(
        "the store holds an unknown document",
        holding((store) => store.recordError("unheard-of", "Cannot read the document: no")),
      ),
      condition("the store is taken away half-way", () => Deno.truncateSync(path, 512)),
      {
        ...condition("the store is locked for a moment", () => {
          lockIt();
          setTimeout(unlock, shortLockMs);
        }),
        isShort: true,
      },
      { ...condition("the store stays locked", lockIt), onceIn: 8_000 },
    ],
  };
}

/** How long the agent waits for an answer of the engine here, in milliseconds. */
const callTimeoutMs = 2_000;

/** All that an agent must know of a world; the images are the default ones. */
export type WorldOptions = Omit<AgentOptions, "images">;

/** All that an agent looks at, in this process and a folder, where things go wrong at random. */
export class SimulatedHost implements AsyncDisposable {
  /** How an agent finds it. */
  readonly agentOptions: WorldOptions;
  readonly #ailments: readonly FaultCase[];
  readonly #stack: AsyncDisposableStack;

  private constructor(
    agentOptions: WorldOptions,
    ailments: readonly FaultCase[],
    stack: AsyncDisposableStack,
  ) {
    this.agentOptions = agentOptions;
    this.#ailments = ailments;
    this.#stack = stack;
  }

  /** All is well at first; the same goes wrong, in the same order, for the same seed. */
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
    const ailments = subjects.map((subject) => new FaultCase(subject, random));
    return new SimulatedHost(options, ailments, stack.move());
  }

  /** Lets time pass, for something to go wrong or right. */
  async step(): Promise<void> {
    for (const faultCase of this.#ailments) await faultCase.step();
  }

  /** Makes all well. */
  async heal(): Promise<void> {
    for (const faultCase of this.#ailments) await faultCase.heal();
  }

  /** What has gone wrong so far, and how often. */
  get counts(): ReadonlyMap<string, number> {
    return new Map(this.#ailments.flatMap(({ counts }) => [...counts]));
  }

  /** How many lines the agent may have logged of all this, those about the master apart. */
  get lines(): number {
    return this.#ailments.reduce((sum, { lines }) => sum + lines, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}
