/** What bench/programs/fleet_master.ts has seen since its start. */
export interface MasterCounts {
  readonly heartbeats: number;
  /** How many certificates they came with. */
  readonly hosts: number;
  readonly connections: number;
  readonly openConnections: number;
  /** Unix time in seconds → beats in that second. */
  readonly perSecond: Readonly<Record<string, number>>;
}

/** Reads what the master in this folder has seen until a second ago. */
export function readCounts(folder: string): MasterCounts {
  return JSON.parse(Deno.readTextFileSync(`${folder}/counts`));
}

/** The processor time that a process has taken until now, in milliseconds. */
export function processorMs(pid: number): number {
  // The name, which may hold spaces, ends with the last bracket.
  const fields = Deno.readTextFileSync(`/proc/${pid}/stat`).split(") ").at(-1)!.split(" ");
  const ticksPerSecond = 100;
  return (Number(fields[11]) + Number(fields[12])) * 1000 / ticksPerSecond;
}

/** Its share of the machine's memory, in MiB: what it shares with others counts in part. */
export function memoryMiB(pid: number): number {
  const text = Deno.readTextFileSync(`/proc/${pid}/smaps_rollup`);
  return Number(/^Pss:\s+(\d+) kB$/m.exec(text)![1]) / 1024;
}

/** What processes may still take, in MiB. */
export function availableMiB(): number {
  const text = Deno.readTextFileSync("/proc/meminfo");
  return Number(/^MemAvailable:\s+(\d+) kB$/m.exec(text)![1]) / 1024;
}

/** What the agents are started with. */
interface RealFleet {
  /** The executable. */
  readonly program: string;
  /** It has a folder with certificates for each of them. */
  readonly folder: string;
  readonly agents: number;
  readonly intervalSeconds: number;
  readonly masterPort: string;
  readonly engineSocket: string;
  /** A store that each gets a copy of. */
  readonly store: string;
  /** How many the master has heard of until now. */
  readonly heard: () => number;
}

/**
 * So many are started in a second, as their first beats come in. Each start takes a tenth of a second
 * of a processor and more, and what waits for one too long gives its beat up.
 */
const startsPerSecond = 8;

/** What one agent has told in its metrics. */
interface Told {
  /** When its last beat was made. */
  readonly at: string;
  readonly latencyMs: number;
  readonly delivered: number;
  readonly others: number;
}

/** Loops of the executable, each in a process of its own and with its own certificate. */
export class RealAgents implements AsyncDisposable {
  #latenciesMs: number[] = [];
  readonly #children: Deno.ChildProcess[] = [];
  readonly #folder: string;
  readonly #told: (Told | null)[] = [];

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Starts them all, as fast as a small machine can. */
  static async start(fleet: RealFleet): Promise<RealAgents> {
    const agents = new RealAgents(fleet.folder);
    try {
      await agents.#startAll(fleet);
    } catch (error) {
      await agents[Symbol.asyncDispose]();
      throw error;
    }
    return agents;
  }

  async #startAll(fleet: RealFleet): Promise<void> {
    // A first beat comes after half an interval on average, and is counted a second later.
    const awaited = Math.ceil(startsPerSecond * (fleet.intervalSeconds / 2 + 1));
    while (this.#children.length < fleet.agents) {
      if (this.#children.length - fleet.heard() < awaited) {
        this.#children.push(startOne(fleet, this.#children.length));
        this.#told.push(null);
      }
      await new Promise((resolve) => setTimeout(resolve, 1000 / startsPerSecond));
    }
  }

  get pids(): number[] {
    return this.#children.map(({ pid }) => pid);
  }

  /** Reads what they tell. Often enough, no reply is missed. */
  look(): void {
    for (let host = 0; host < this.#children.length; host++) {
      const told = readMetrics(`${this.#folder}/${host}/agent.prom`);
      const before = this.#told[host]!;
      if (told === null || told.at === before?.at) continue;
      this.#told[host] = told;
      this.#latenciesMs.push(told.latencyMs);
    }
  }

  /** How long the replies have taken that were seen since the last call, in milliseconds, sorted. */
  takeLatencies(): number[] {
    const taken = this.#latenciesMs.sort((a, b) => a - b);
    this.#latenciesMs = [];
    return taken;
  }

  /** How many have delivered a beat, and how many beats they have delivered and not delivered. */
  totals(): { hosts: number; delivered: number; others: number } {
    const told = this.#told.filter((it) => it !== null);
    return {
      hosts: told.filter(({ delivered }) => delivered > 0).length,
      delivered: told.reduce((sum, it) => sum + it.delivered, 0),
      others: told.reduce((sum, it) => sum + it.others, 0),
    };
  }

  /** Ends them; answers how many did not end as they should. */
  async stop(): Promise<number> {
    for (const child of this.#children) child.kill("SIGTERM");
    const ended = await Promise.all(this.#children.map(({ status }) => status));
    return ended.filter(({ code }) => code !== 0).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) await child[Symbol.asyncDispose]();
  }
}

function startOne(fleet: RealFleet, host: number): Deno.ChildProcess {
  const directory = `${fleet.folder}/${host}`;
  Deno.mkdirSync(`${directory}/state`);
  Deno.copyFileSync(fleet.store, `${directory}/state/topology.db`);
  return new Deno.Command(fleet.program, {
    args: [
      "--master-host=127.0.0.1",
      "--master-name=master.test",
      `--swarmctl-port=${fleet.masterPort}`,
      `--host-uuid=host-${host}`,
      `--agent-dir=${directory}`,
      `--state-dir=${directory}/state`,
      `--docker-host=unix://${fleet.engineSocket}`,
      `--interval=${fleet.intervalSeconds}s`,
      `--textfile=${directory}/agent.prom`,
    ],
    clearEnv: true,
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
}

/** Null before the first beat. */
function readMetrics(path: string): Told | null {
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch {
    return null;
  }
  const value = (name: string) => {
    return new RegExp(`^decnet_agent_${name} (\\S+)$`, "m").exec(text)?.[1];
  };
  const heartbeats = (result: string) => Number(value(`beats_total\\{result="${result}"\\}`) ?? 0);
  return {
    at: value("last_beat_attempt_timestamp_seconds") ?? "",
    latencyMs: 1000 * Number(value("master_latency_seconds")),
    delivered: heartbeats("delivered"),
    others: heartbeats("rejected") + heartbeats("unreachable") + heartbeats("not_configured"),
  };
}
